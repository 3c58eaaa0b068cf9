import pytest

from pipelines.dedup_actors import embedder_bounds
from pipelines.settings import Embedders


@pytest.mark.parametrize(("cores", "most"), [(1, 1), (2, 1), (4, 2), (16, 8), (1000, 8)])
def test_half_of_the_cores_embed_at_most_unless_said_otherwise(cores, most):
    assert embedder_bounds(Embedders(), cores) == (1, most)


def test_the_bounds_that_are_set_hold_whatever_the_cores():
    assert embedder_bounds(Embedders(min=3, max=20), 2) == (3, 20)
    assert embedder_bounds(Embedders(min=3), 2) == (3, 3)
