import numpy as np
import pytest
from geometry import apart, at_cosine, scattered

from actors.logic.diversity.vectors import coverage, entropy, leaders, leading, vector_figures, vendi_score


@pytest.mark.parametrize("size", [4, 64])
@pytest.mark.parametrize("count", [1, 3, 20])
def test_equal_vectors_have_a_vendi_score_of_one(count, size):
    assert vendi_score(np.repeat(scattered(1, size=size), count, axis=0)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("times", [1, 5])
def test_vectors_at_right_angles_have_a_vendi_score_of_their_number_however_often_each_comes(times):
    assert vendi_score(np.repeat(apart(6), times, axis=0)) == pytest.approx(6)


def test_the_vendi_score_of_two_vectors_is_that_of_a_calculation_by_hand():
    cosine = 0.6  # the eigenvalues of [[1, c], [c, 1]] ÷ 2 are (1 ± c) ÷ 2
    high, low = (1 + cosine) / 2, (1 - cosine) / 2
    [one] = apart(1)
    both = np.stack([one, at_cosine(one, cosine)])
    assert vendi_score(both) == pytest.approx(np.exp(-high * np.log(high) - low * np.log(low)), rel=1e-5)


def test_unequal_shares_have_the_vendi_score_of_their_entropy():
    found = vendi_score(apart(2)[[0, 0, 0, 1]])
    assert found == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


def test_the_vendi_score_is_the_same_by_rows_and_by_components():
    vectors = scattered(40, size=64)
    padded = np.pad(vectors, ((0, 0), (0, 200)))
    assert vendi_score(np.concatenate([vectors] * 3)) == pytest.approx(vendi_score(padded), rel=1e-5)


def test_planted_clusters_are_found_whatever_the_order():
    centres = apart(5)
    members = np.concatenate([[at_cosine(one, 0.9, seed) for seed in range(20)] for one in centres])
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(100)
        found, cluster = leaders(members[order])
        assert len(found) == 5 and np.bincount(cluster).tolist() == [20] * 5
        assert len({(int(one), int(row) // 20) for one, row in zip(cluster, order, strict=True)}) == 5
        assert cluster[found].tolist() == [0, 1, 2, 3, 4], "a leader is in its own cluster"


def test_no_two_leaders_are_near_and_every_vector_is_near_its_nearest_leader():
    vectors = scattered(300)
    found, cluster = leaders(vectors)
    between = vectors[found] @ vectors[found].T
    assert (between[~np.eye(len(found), dtype=bool)] < 0.5).all()
    cosines = vectors @ vectors[found].T
    assert (cosines.max(axis=1) >= 0.5).all()
    assert np.array_equal(cosines.argmax(axis=1), cluster)


def test_entropy_is_nought_for_one_cluster_and_one_for_singletons():
    assert entropy(np.array([10]), 10) == 0
    assert entropy(np.ones(10, int), 10) == pytest.approx(1)
    assert entropy(np.array([50, 50]), 100) == pytest.approx(np.log(2) / np.log(100))


def test_coverage_is_the_share_of_the_reference_that_somebody_is_near():
    reference = apart(4)
    assert coverage(reference, reference[:1]) == 0.25
    assert coverage(reference, np.stack([at_cosine(reference[0], 0.8), at_cosine(reference[1], 0.8)])) == 0.5
    assert coverage(reference, reference) == 1


def test_a_part_of_the_personas_covers_a_part_of_the_clusters_of_all():
    whole = np.repeat(apart(8), 10, axis=0)
    figures = vector_figures(whole[:20], leading(whole))
    assert (figures.personas, figures.clusters, figures.cluster_coverage) == (20, 2, 0.25)
    assert vector_figures(whole, leading(whole)).cluster_coverage == 1


def test_of_one_vector_nothing_is_told():
    assert vector_figures(apart(1), apart(1)) is None
