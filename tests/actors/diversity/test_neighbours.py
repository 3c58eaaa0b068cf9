import faiss
import numpy as np
import pytest
from geometry import apart, at_cosine, groups

from actors.logic.diversity.neighbours import BINS, Nearest, nearest_figures, queries_for


@pytest.mark.parametrize("piece", [1, 7, 100, 4000])
def test_cosines_with_the_nearest_are_those_of_an_exact_index_whatever_the_pieces(piece):
    vectors = groups(300, 10)
    queries = np.random.default_rng(0).choice(len(vectors), 1500, replace=False)
    search = Nearest(vectors[queries], queries)
    for start in range(0, len(vectors), piece):
        search.see(start, vectors[start : start + piece])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, rows = index.search(vectors[queries], 2)
    assert (rows[:, 0] == queries).mean() > 0.9, "a persona is its own nearest, which does not count"
    assert np.allclose(search.cosines, scores[:, 1], atol=1e-5)


def test_a_persona_with_a_twin_has_it_as_its_nearest():
    vectors = apart(3)[[0, 1, 0]]
    search = Nearest(vectors, np.arange(3))
    search.see(0, vectors)
    assert search.cosines.tolist() == [1, 0, 1]


def test_shares_and_the_histogram_count_from_the_bound_on():
    [one] = apart(1)
    cosines = np.array([0.8, 0.9, 0.799, 0.95, -0.2, 1.0001], np.float32)
    found = nearest_figures(cosines)
    assert found.share_from_0_8 == 4 / 6 and found.share_from_0_9 == 3 / 6
    assert found.median == pytest.approx(0.85)
    assert sum(found.histogram) == found.queries == 6 and len(found.histogram) == BINS
    assert found.histogram[0] == 1 and found.histogram[15] == 1 and found.histogram[19] == 2
    assert nearest_figures(np.array([at_cosine(one, 0.61) @ one])).histogram[12] == 1


def test_of_no_cosines_nothing_is_told():
    assert nearest_figures(np.empty(0, np.float32)) is None


def test_fewer_are_asked_about_among_many_so_that_the_time_stays():
    assert [queries_for(count) for count in (0, 10, 10**5, 10**6, 10**9)] == [5000, 5000, 5000, 500, 500]
    assert queries_for(200_000) * 200_000 == queries_for(10**5) * 10**5
