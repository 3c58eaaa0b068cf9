import numpy as np
import pytest
from geometry import SIZE, apart, scattered

from actors.index import PersonaIndex, Tiers
from cluster.errors import Halt, UserError

IDS = [bytes([number]) * 12 for number in range(9)]
FORMS = [bytes([number]) * 16 for number in range(9)]


@pytest.fixture(params=["folder", "memory"])
def index(request, tmp_path) -> PersonaIndex:
    return PersonaIndex(SIZE, tmp_path / "dedup" if request.param == "folder" else None, "m")


def test_what_is_kept_is_found_by_its_form_and_by_its_vector(index):
    index.keep(IDS[:3], FORMS[:3], apart(3))
    assert [index.exact(form) for form in FORMS[:4]] == [*IDS[:3], None]
    scores, ids = index.nearest(apart(3)[::-1])
    assert scores.tolist() == [1, 1, 1]
    assert ids == IDS[2::-1]
    assert (len(index), index.dimension) == (3, SIZE)


def test_an_empty_index_finds_nothing(index):
    scores, ids = index.nearest(apart(2))
    assert (scores.tolist(), ids) == ([-1, -1], [b"", b""])
    assert index.exact(FORMS[0]) is None


def test_nothing_asked_is_nothing_answered(index):
    index.keep(IDS[:1], FORMS[:1], apart(1))
    index.keep([], [], apart(0))
    scores, ids = index.nearest(apart(0))
    assert (len(scores), ids, len(index)) == (0, [], 1)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_no_number_is_refused_with_its_row_and_model_and_nothing_is_kept(index, wrong):
    vectors = apart(3).copy()
    vectors[1, 4] = wrong
    for ask in (lambda: index.nearest(vectors), lambda: index.keep(IDS[:3], FORMS[:3], vectors)):
        with pytest.raises(UserError, match=r"personas\.dedup\.model m .*no numbers \(row 1 of 3\)"):
            ask()
    assert len(index) == 0 and index.exact(FORMS[0]) is None


@pytest.mark.parametrize("shape", [(2, SIZE + 1), (2, SIZE - 1), (SIZE,)])
def test_vectors_of_another_dimension_are_refused_and_both_are_named(index, shape):
    with pytest.raises(UserError, match=f"{shape[-1]} where n × {SIZE}"):
        index.nearest(np.zeros(shape, np.float32))
    with pytest.raises(UserError, match=f"{shape[-1]} where n × {SIZE}"):
        index.keep(IDS[:2], FORMS[:2], np.zeros(shape, np.float32))


def test_forms_and_ids_may_end_and_begin_with_zeros(index):
    index.keep([bytes(12), b"a" + bytes(11)], [bytes(16), b"a" + bytes(15)], apart(2))
    assert index.exact(b"a" + bytes(15)) == b"a" + bytes(11)
    assert index.exact(bytes(16)) == bytes(12)
    assert index.nearest(apart(2))[1] == [bytes(12), b"a" + bytes(11)]


def test_what_the_disk_did_not_take_is_not_kept_and_can_be_kept_later(small_disk):
    index = PersonaIndex(64, small_disk / "dedup", "m")
    index.keep(IDS[:1], FORMS[:1], scattered(1, size=64))
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"), ballast.open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    many = [number.to_bytes(16, "big") for number in range(100)]
    with pytest.raises(Halt, match="No space left on device; free some"):
        index.keep([one[4:] for one in many], many, scattered(100, 1, 64))
    assert len(index) == 1
    assert index.exact(many[5]) is None
    ballast.unlink()
    index.keep([one[4:] for one in many], many, scattered(100, 1, 64))
    for kept in (index, PersonaIndex(64, small_disk / "dedup", "m")):
        assert len(kept) == 101
        assert kept.exact(many[5]) == many[5][4:]
        assert kept.nearest(scattered(100, 1, 64))[1] == [one[4:] for one in many]


def test_a_restart_finds_every_form_and_id_again(tmp_path):
    rng = np.random.default_rng(0)
    ids, forms = [rng.bytes(12) for _ in range(70_000)], [rng.bytes(16) for _ in range(70_000)]
    index = PersonaIndex(SIZE, tmp_path, "m", Tiers(flat_rows=10**6))
    for start in range(0, 70_000, 7000):
        index.keep(ids[start : start + 7000], forms[start : start + 7000], scattered(7000, start, SIZE))
    for _ in range(2):
        again = PersonaIndex(SIZE, tmp_path, "m")
        assert [again.exact(form) for form in forms[::97]] == ids[::97]
        assert len(again) == 70_000
