import numpy as np
from geometry import apart, scattered, unit

from actors.logic.diversity.cells import CELLS, Beside, CellsReached, Covered, beside_baseline, cell_of, curve

SIZE = 64


def test_equal_vectors_are_in_one_cell_and_others_in_others():
    vectors = scattered(500, size=SIZE)
    cells = cell_of(vectors)
    assert np.array_equal(cell_of(vectors.copy()), cells)
    assert cells.min() >= 0 and cells.max() < CELLS
    assert len(np.unique(cells)) > 450


def test_the_nearer_two_vectors_are_the_more_often_they_share_their_cell():
    one, other = scattered(2000, 1, SIZE), scattered(2000, 2, SIZE)
    shared = []
    for cosine in (0.3, 0.7, 0.9, 0.98):
        sideways = unit(other - np.einsum("nd,nd->n", one, other)[:, None] * one)
        shared.append(float(np.mean(cell_of(one) == cell_of(unit(cosine * one + np.sqrt(1 - cosine**2) * sideways)))))
    assert shared == sorted(shared) and shared[0] < 0.01 and shared[-1] > 0.5


def test_the_cells_are_the_same_in_every_release_so_that_runs_can_be_compared():
    assert cell_of(apart(8)).tolist() == [3410, 5751, 11632, 1147, 6555, 6680, 8885, 9322]


def test_the_curve_counts_the_first_ten_hundred_and_so_on():
    vectors = np.concatenate([np.repeat(scattered(1, size=SIZE), 50, axis=0), scattered(150, 3, SIZE)])
    found = curve(vectors)
    assert [one.personas for one in found] == [10, 100, 200]
    assert found[0] == Covered(10, 1) and 45 <= found[1].cells <= 51 and found[2].cells > found[1].cells
    assert [one.personas for one in curve(vectors[:10])] == [10]


def test_all_cells_are_counted_over_any_number_of_pieces():
    vectors, reached = scattered(3000, size=SIZE), CellsReached()
    for piece in np.array_split(vectors, 7):
        reached.see(piece)
    assert reached.count == len(np.unique(cell_of(vectors)))


def test_a_corpus_is_held_against_as_many_baseline_texts():
    vectors, baseline = scattered(300, size=SIZE), scattered(5, 9, SIZE)[np.arange(100) % 5]
    found = beside_baseline(vectors, baseline)
    assert found == Beside(100, found.cells, 5) and found.cells > 90
    assert beside_baseline(baseline, vectors) == Beside(100, 5, found.cells)
