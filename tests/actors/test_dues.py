from itertools import pairwise

import numpy as np
import pytest

from actors.logic.dues import Dues, dues, lot


def lots(documents: int, seed: int = 0) -> np.ndarray:
    return np.array([lot(seed, f"document {number}") for number in range(documents)], np.uint64)


def owed(rows: int, drawn: np.ndarray, pieces: int = 3) -> list[int]:
    found = dues(rows, len(drawn), lambda: np.array_split(drawn, pieces))
    assert found.of_all(drawn) == sum(found.of(int(one)) for one in drawn)
    return [found.of(int(one)) for one in drawn]


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 64, 1000, 99_991])
@pytest.mark.parametrize("documents", [1, 2, 3, 7, 100, 1009, 70_000])
def test_the_dues_add_up_to_the_rows_and_differ_by_one_at_most(rows, documents):
    found = owed(rows, lots(documents))
    assert sum(found) == rows
    assert max(found) - min(found) <= 1


def test_more_rows_are_not_less_for_any_document():
    drawn = lots(40)
    found = [owed(rows, drawn) for rows in range(130)]
    for less, more in pairwise(found):
        assert sum(after - before for before, after in zip(less, more, strict=True)) == 1
        assert all(after >= before for before, after in zip(less, more, strict=True))


def test_the_dues_do_not_depend_on_the_order_or_the_pieces_of_the_documents():
    drawn = lots(1000)
    order = np.random.default_rng(0).permutation(1000)
    assert owed(1234, drawn[order], pieces=7) == [owed(1234, drawn, pieces=1)[at] for at in order]


def test_few_rows_are_spread_over_all_documents_and_not_over_the_first():
    first = [at for at, one in enumerate(owed(100, lots(10_000))) if one]
    assert 3_500 < np.mean(first) < 6_500


def test_another_seed_gives_the_odd_rows_to_others():
    assert owed(10, lots(100)) != owed(10, lots(100, seed=1))


def test_documents_whose_lots_are_close_together_are_told_apart():
    drawn = np.array([2**64 - 1, 2**64 - 2, 2**64 - 3, 5, 4], np.uint64)
    assert [owed(rows, drawn, 1) for rows in range(6)] == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
    ]


def test_a_bound_beyond_all_lots_takes_them_all():
    assert Dues(2, 2**64).of_all(np.array([2**64 - 1, 0], np.uint64)) == 6
