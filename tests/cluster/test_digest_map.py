import random

import numpy as np
import pytest

from cluster.digest_map import DigestMap
from cluster.digest_runs import DIGEST, NOWHERE, Run


def digests(count: int, seed: int = 0) -> np.ndarray:
    return np.frombuffer(random.Random(seed).randbytes(16 * count), DIGEST)


def numbers(count: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.uint64)


def full(key: np.bytes_) -> bytes:
    """numpy drops the zeros at a key's end."""
    return bytes(key).ljust(16, b"\0")


def test_a_map_keeps_the_first_value_of_a_key_over_many_adds_and_openings(tmp_path):
    keys = digests(3_000)
    for start in range(0, 3_000, 300):
        index = DigestMap(tmp_path, floor=500)
        index.add(keys[: start + 300], numbers(start + 300, 10_000 * start), note=f"up to {start + 300}")
    index = DigestMap(tmp_path)
    assert len(index) == 3_000 and index.note == "up to 3000"
    assert [index.find(full(key)) for key in keys] == [at // 300 * 300 * 10_000 + at for at in range(3_000)]
    assert len(list(tmp_path.glob("*.run"))) <= 5


def test_a_map_that_is_open_elsewhere_goes_on_while_its_files_are_replaced(tmp_path):
    keys = digests(2_000)
    DigestMap(tmp_path).add(keys[:1_000], numbers(1_000), "")
    reader = DigestMap(tmp_path)
    DigestMap(tmp_path).add(keys, numbers(2_000), "")
    assert reader.find(full(keys[7])) == 7 and reader.find(full(keys[1_500])) is None


@pytest.mark.parametrize("harm", ["cut", "gone", "garbled"])
def test_a_map_of_which_a_part_is_missing_is_empty_and_can_be_made_again(tmp_path, harm, caplog):
    keys = digests(10)
    DigestMap(tmp_path).add(keys, numbers(10), "note")
    run = next(tmp_path.glob("*.run"))
    if harm == "cut":
        run.write_bytes(run.read_bytes()[:-1])
    elif harm == "gone":
        run.unlink()
    else:
        (tmp_path / "index.json").write_text('{"runs": ')
    index = DigestMap(tmp_path)
    assert len(index) == 0 and index.note == "" and "made again" in caplog.text
    index.add(keys, numbers(10), "again")
    assert DigestMap(tmp_path).find(full(keys[3])) == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_entries_held_in_memory_are_found_and_not_written(tmp_path):
    keys = digests(30)
    DigestMap(tmp_path).add(keys[:10], numbers(10), "")
    index = DigestMap(tmp_path)
    for start in (10, 20):
        index.hold(keys[start : start + 10], numbers(10, start))
    index.hold(keys, numbers(30, 1_000))
    assert [index.find(full(key)) for key in keys] == list(range(30))
    assert len(index) == 30 and len(DigestMap(tmp_path)) == 10


def test_entries_held_beyond_the_buffer_lie_in_files_without_a_name(tmp_path):
    keys = digests(1_000)
    index = DigestMap(tmp_path)
    for start in range(0, 1_000, 100):
        index.hold(keys[start : start + 100], numbers(100, start), buffer=150)
    assert [index.find(full(key)) for key in keys] == list(range(1_000))
    assert list(tmp_path.iterdir()) == []
    held = sum(len(run) for run in index._runs if not isinstance(run.keys.base, np.memmap))
    assert held <= 2 * 150


def test_values_that_move_take_the_note_along_and_keep_the_rest(tmp_path):
    keys = digests(300)
    for start in range(0, 300, 100):
        DigestMap(tmp_path, floor=0).add(keys[start : start + 100], numbers(100, start), "before")
    index = DigestMap(tmp_path)
    index.move(Run(numbers(50, 120), numbers(50, 5_000)), "after")
    expected = [at + 4_880 if 120 <= at < 170 else at for at in range(300)]
    for found in (index, DigestMap(tmp_path)):
        assert found.note == "after" and len(found) == 300
        assert [found.find(full(key)) for key in keys] == expected
        assert found.find_all(keys).tolist() == expected
        assert sorted(np.concatenate(list(found.values())).tolist()) == sorted(expected)
    assert index.find_all(digests(5, seed=1)).tolist() == [NOWHERE] * 5
