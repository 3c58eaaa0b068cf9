import random

import numpy as np
import pytest

from actors.index.form_map import FormMap
from actors.index.rows import FORM


def forms(count: int, seed: int = 0) -> np.ndarray:
    return np.frombuffer(random.Random(seed).randbytes(16 * count), FORM)


def mapped(some: np.ndarray, batches: list[int], room: int = 0) -> FormMap:
    kept = FormMap(lambda position: some[position].tobytes(), room)
    start = 0
    for count in batches:
        kept.add(some[start : start + count], start)
        start += count
    return kept


@pytest.mark.parametrize("batches", [[5000], [1] * 5000, [1, 0, 4000, 7, 992]])
def test_every_form_is_found_where_it_was_added_and_no_other(batches):
    some = forms(5000)
    kept = mapped(some, batches)
    assert [kept.find(form.tobytes()) for form in some] == list(range(5000))
    assert {kept.find(form.tobytes()) for form in forms(2000, seed=1)} == {None}
    assert len(kept) == 5000


def test_forms_that_begin_alike_are_told_apart():
    rng = random.Random(0)
    heads = [b"\0" * 8, b"\xff" * 8, b"12345678"]
    some = np.frombuffer(b"".join(rng.choice(heads) + rng.randbytes(8) for _ in range(300)), FORM)
    kept = mapped(some, [100, 200])
    assert [kept.find(form.tobytes()) for form in some] == list(range(300))
    assert kept.find(heads[0] + b"another!") is None


def test_a_form_takes_16_to_32_bytes():
    some = forms(60_000)
    kept = mapped(some, [])
    for start in range(0, 60_000, 1000):
        kept.add(some[start : start + 1000], start)
        assert 16 <= kept.nbytes / len(kept) <= 33
    for count in (1000, 60_000):
        assert mapped(some, [count], room=count).nbytes <= 32 * count


def test_nothing_is_found_in_an_empty_map():
    assert mapped(forms(1), []).find(b"x" * 16) is None
