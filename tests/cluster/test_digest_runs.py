import io
import random

import numpy as np
import pytest

from cluster.digest_runs import (
    DIGEST,
    NOWHERE,
    VALUE,
    Run,
    find,
    find_all,
    first_seen,
    map_run,
    merged,
    one_run,
    runs_to_merge,
    write_revalued,
    write_run,
)


def digests(count: int, seed: int = 0) -> np.ndarray:
    return np.frombuffer(random.Random(seed).randbytes(16 * count), DIGEST)


def numbers(count: int, start: int = 0) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.uint64)


def full(key: np.bytes_) -> bytes:
    """numpy drops the zeros at a key's end."""
    return bytes(key).ljust(16, b"\0")


def small_runs(count: int, each: int) -> list[Run]:
    """Runs without a key in common, whose values are the positions at which `digests` made the keys."""
    keys = digests(count * each)
    runs = []
    for start in range(0, count * each, each):
        order = keys[start : start + each].argsort()
        runs.append(Run(keys[start : start + each][order], numbers(each, start)[order]))
    return runs


@pytest.mark.parametrize("floor", [0, 100])
def test_runs_stay_few_and_each_is_longer_than_all_after_it(floor):
    lengths: list[int] = []
    rewritten = 0
    for _ in range(5_000):
        lengths.append(10)
        count = max(1, runs_to_merge(lengths, floor))
        rewritten += sum(lengths[-count:])
        lengths[-count:] = [sum(lengths[-count:])]
        assert all(length > sum(lengths[at + 1 :]) for at, length in enumerate(lengths))
    assert sum(lengths) == 50_000
    assert len(lengths) <= 13
    assert rewritten <= 50_000 * 14


def test_merging_keeps_every_entry_in_order_in_pieces_of_bounded_size():
    runs = small_runs(3, 100_000)
    pieces = list(merged(runs))
    keys = np.concatenate([piece.keys for piece in pieces])
    values = np.concatenate([piece.values for piece in pieces])
    assert len(pieces) > 1 and max(map(len, pieces)) <= 3 * 65_536
    assert (keys == np.sort(digests(300_000))).all()
    assert (digests(300_000)[values] == keys).all()


def test_merging_copes_with_runs_of_unlike_lengths_and_ranges():
    low, high = np.arange(200_000, dtype=np.uint64), np.arange(10**6, 10**6 + 3, dtype=np.uint64)
    pieces = [piece.keys for piece in merged([Run(high), Run(np.empty(0, np.uint64)), Run(low)])]
    assert np.concatenate(pieces).tolist() == [*range(200_000), 10**6, 10**6 + 1, 10**6 + 2]


def test_a_run_file_is_the_keys_and_then_the_values():
    file, runs = io.BytesIO(), small_runs(2, 3)
    write_run(file, runs)
    content = file.getvalue()
    assert len(content) == 6 * 24
    assert content[:96] == b"".join(sorted(digests(6).tobytes()[at : at + 16] for at in range(0, 96, 16)))


def test_a_mapped_run_can_be_searched_after_its_file_is_unlinked(tmp_path):
    path = tmp_path / "run"
    with path.open("wb") as file:
        write_run(file, small_runs(3, 50))
    run = map_run(path, 150, DIGEST, with_values=True)
    path.unlink()
    assert [find([run], full(key)) for key in digests(150)] == list(range(150))
    assert find([run], bytes(16)) is None and find([run], b"\xff" * 16) is None


def test_keys_with_zero_bytes_are_told_apart():
    texts = [b"a", b"a\0b", b"a\0\0b", b"", b"a\0c", b"\xff" * 16, b"\0" * 15 + b"\1"]
    keys = np.array([text.ljust(16, b"\0") for text in texts], DIGEST)
    order = keys.argsort()
    run = Run(keys[order], numbers(len(texts))[order])
    assert [find([run], text.ljust(16, b"\0")) for text in texts] == list(range(len(texts)))


def test_the_first_of_equal_keys_is_the_one_that_is_new():
    keys = np.array([5, 3, 5, 9, 3, 7], np.uint64)
    assert sorted(first_seen([Run(np.array([7], np.uint64))], keys)) == [0, 1, 3]


def test_many_keys_are_found_as_each_is():
    runs, keys = small_runs(3, 50), digests(200)
    found = find_all(runs, keys[::-1])
    assert found.tolist() == [NOWHERE] * 50 + list(range(149, -1, -1))
    assert find_all([], keys).tolist() == [NOWHERE] * 200


def test_values_that_moved_are_written_and_all_else_as_it_was():
    [run] = small_runs(1, 100)
    moves = Run(np.array([3, 7, 99, 500], np.uint64), np.array([1_000, 3, 99, 1], np.uint64))
    file = io.BytesIO()
    write_revalued(file, run, moves)
    values = np.frombuffer(file.getvalue(), VALUE, offset=100 * 16)
    moved = {3: 1_000, 7: 3}
    assert file.getvalue()[: 100 * 16] == run.keys.tobytes()
    assert values.tolist() == [moved.get(value, value) for value in run.values.tolist()]


@pytest.mark.parametrize("buffer", [10, 1_000])
def test_one_run_of_many_says_the_same_in_memory_and_in_a_file(tmp_path, buffer):
    run = one_run(small_runs(3, 50), tmp_path / "spilled", buffer)
    assert [find([run], full(key)) for key in digests(150)] == list(range(150))
    assert not list(tmp_path.glob("spilled/*"))
