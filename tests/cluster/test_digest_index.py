import io
import random
from pathlib import Path

import numpy as np
import pytest

from cluster.digest_runs import (
    DIGEST,
    DigestMap,
    Run,
    SeenSet,
    find,
    first_seen,
    map_run,
    merged,
    runs_to_merge,
    write_run,
)
from cluster.errors import Halt


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


@pytest.mark.parametrize("seed", range(3))
def test_a_seen_set_agrees_with_a_python_set(tmp_path, seed):
    rng, known = random.Random(seed), set[int]()
    with SeenSet(tmp_path / "seen", buffer=50) as seen:
        for _ in range(300):
            batch = [rng.choice([rng.randrange(3_000), rng.getrandbits(64)]) for _ in range(rng.randrange(40))]
            expected = []
            for digest in batch:
                expected.append(digest not in known)
                known.add(digest)
            assert seen.add_new(np.array(batch, np.uint64)).tolist() == expected
            assert len(seen) == len(known)
        held = sum(len(run) for run in seen._runs if not isinstance(run.keys.base, np.memmap))
        assert held <= 2 * 50


def test_a_seen_set_takes_a_batch_beyond_its_buffer_and_single_digests(tmp_path):
    with SeenSet(tmp_path, buffer=10) as seen:
        assert seen.add_new(np.arange(1_000, dtype=np.uint64)).all()
        assert not seen.add_new(np.array([999], np.uint64)).any()
        assert seen.add_new(np.array([2**64 - 1], np.uint64)).all()
        assert not seen.add_new(np.array([], np.uint64)).any()


def test_a_seen_set_leaves_no_files_even_when_it_is_not_closed(tmp_path):
    seen = SeenSet(tmp_path / "seen", buffer=10)
    seen.add_new(np.arange(1_000, dtype=np.uint64))
    assert list((tmp_path / "seen").iterdir()) == []
    seen.close()
    assert len(seen) == 0 and not (tmp_path / "seen").exists()


def test_a_seen_set_that_cannot_spill_halts_and_takes_nothing_in(tmp_path):
    with SeenSet(Path("/proc/populace"), buffer=10) as seen:
        with pytest.raises((Halt, FileNotFoundError)):
            seen.add_new(np.arange(1_000, dtype=np.uint64))
        assert len(seen) == 0


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
