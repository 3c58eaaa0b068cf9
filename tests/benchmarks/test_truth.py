import numpy as np
import pytest
from truth import exact_greedy, planted, recall

THRESHOLD = 0.5


def plane(*degrees):
    """Unit vectors at these angles; two are near where they are at most 60 degrees apart."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_a_text_near_to_a_refused_one_alone_is_kept():
    assert exact_greedy(plane(0, 50, 100), THRESHOLD).tolist() == [True, False, True]


def test_texts_are_judged_in_their_order():
    assert exact_greedy(plane(50, 0, 100), THRESHOLD).tolist() == [True, False, False]


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001, 2500])
def test_blocks_change_nothing(count):
    vectors = np.random.default_rng(count).standard_normal((count, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    kept: list[int] = []
    for row in range(count):
        if not (vectors[kept] @ vectors[row] >= 0.8).any():
            kept.append(row)
    assert np.flatnonzero(exact_greedy(vectors, 0.8)).tolist() == kept
    assert count < 2 or len(kept) < count


def test_recall_is_the_share_of_due_refusals():
    reference = np.array([True, False, False, True])
    assert recall([0, 2, 3], reference) == 0.5
    assert recall([], reference) == 1
    assert recall([0, 1, 2, 3], reference) == 0


def test_recall_is_whole_where_nothing_is_due():
    assert recall([0, 1], np.array([True, True])) == 1


def test_copies_left_and_people_gone_are_counted_by_group():
    assert planted([0, 1, 4], groups=[0, 0, 2, 2, 4]) == (1, 1)
    assert planted([0, 2, 4], groups=[0, 0, 2, 2, 4]) == (0, 0)
