import hashlib

import numpy as np
import pytest
from geometry import unit

from actors.logic.density import SAMPLE, Crowd, Sample, sample


def ids_of(count: int, name: str = "person") -> np.ndarray:
    digests = b"".join(hashlib.sha256(f"{name} {number}".encode()).digest()[:12] for number in range(count))
    return np.frombuffer(digests, "V12")


def clusters(*sizes: int, size: int = 48, spread: float = 0.6, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    """Unit vectors (n × size, float16) of so many people of each kind, whose cosines are about 1 ÷ (1 + spread²);
    an `offset` brings all nearer to one another, as some embedding models do."""
    draw = np.random.default_rng(seed)
    *centres, shared = np.linalg.qr(draw.normal(size=(size, len(sizes) + 1)))[0].T
    made = np.repeat(centres, sizes, axis=0) + spread * unit(draw.normal(size=(sum(sizes), size)))
    return unit(made + offset * shared).astype(np.float16)


def density(vectors: np.ndarray) -> np.ndarray:
    everybody = Sample(ids_of(len(vectors)), vectors)
    return Crowd(sample([everybody], seed=0)).density(everybody.ids, vectors).astype(float)


def mass_by_kind(vectors: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    weights = 1 / density(vectors)
    return np.array([part.sum() for part in np.split(weights / weights.sum(), np.cumsum(sizes)[:-1])])


@pytest.mark.parametrize("offset", [0.0, 2.0])
@pytest.mark.parametrize("sizes", [(900, 90, 10), (400, 400, 20), (700, 50, 50, 50, 50, 50, 50)])
def test_each_kind_of_people_weighs_the_same_however_many_it_has(sizes, offset):
    mass = mass_by_kind(clusters(*sizes, offset=offset), sizes)
    assert mass == pytest.approx(1 / len(sizes), rel=0.35)
    shares = np.array(sizes) / sum(sizes)
    assert abs(mass - 1 / len(sizes)).max() < 0.2 * abs(shares - 1 / len(sizes)).max()


def test_in_a_corpus_larger_than_its_sample_each_kind_weighs_the_same_too():
    sizes = (30_000, 3_000, 600)
    assert mass_by_kind(clusters(*sizes), sizes) == pytest.approx(1 / 3, rel=0.35)


def test_where_nobody_is_like_another_all_weigh_the_same():
    found = density(np.eye(40, dtype=np.float16))
    assert len(set(found)) == 1


def test_one_person_alone_is_a_crowd_of_one():
    assert density(np.eye(1, 8, dtype=np.float16)) > 0


def test_twins_without_end_and_vectors_of_nothing_have_a_density_all_the_same():
    assert (density(np.ones((50, 4), np.float16) / 2) > 0).all()
    assert (density(np.zeros((50, 4), np.float16)) > 0).all()


def test_who_is_in_the_sample_is_counted_once_as_anybody():
    vectors = clusters(60, 60)
    everybody = Sample(ids_of(len(vectors)), vectors)
    crowd = Crowd(sample([everybody], seed=0))
    strangers = crowd.density(ids_of(len(vectors), "other"), vectors).astype(float)
    inside = crowd.density(everybody.ids, vectors).astype(float)
    assert (strangers - inside == (strangers - inside)[0]).all() and strangers[0] > inside[0]
    assert strangers[0] / inside[0] == pytest.approx(61 / 60, rel=0.01)


def test_the_density_is_the_same_to_the_last_digit_in_any_order_and_pieces():
    vectors = clusters(3000, 300, size=384)
    ids, order = ids_of(len(vectors)), np.random.default_rng(1).permutation(len(vectors))
    one = Crowd(sample([Sample(ids, vectors)], seed=3)).density(ids, vectors)
    pieces = [Sample(ids[part], vectors[part]) for part in np.array_split(order, 7)]
    crowd = Crowd(sample(pieces, seed=3))
    found = np.concatenate([crowd.density(piece.ids, piece.vectors) for piece in pieces])
    assert (found == one[order]).all()
    assert [int(crowd.density(ids[at : at + 1], vectors[at : at + 1])[0]) for at in range(50)] == list(
        map(int, one[:50])
    )


# --- the sample


def test_samples_of_parts_make_the_sample_of_the_whole():
    vectors = clusters(5000, 4000, size=8)
    ids = ids_of(len(vectors))
    parts = [Sample(ids[at::3], vectors[at::3]) for at in range(3)]
    whole = sample([Sample(ids, vectors)], seed=5)
    again = sample([sample([part], seed=5) for part in parts], seed=5)
    assert whole.ids.tobytes() == again.ids.tobytes() and (whole.vectors == again.vectors).all()
    assert len(whole) == SAMPLE


def test_the_sample_is_of_all_parts_of_the_corpus_and_another_with_another_seed():
    vectors = np.repeat(np.eye(2, dtype=np.float16), (20_000, 20_000), axis=0)
    everybody = Sample(ids_of(len(vectors)), vectors)
    one, other = sample([everybody], seed=0), sample([everybody], seed=1)
    assert one.vectors.astype(float).mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.04)
    assert len(np.intersect1d(one.ids.view("S12"), other.ids.view("S12"))) < 0.3 * SAMPLE


def test_a_sample_of_nobody_is_empty():
    assert len(sample([], seed=0)) == 0
