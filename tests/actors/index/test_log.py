import os
import random
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from actors.index.log import IndexLog
from actors.index.rows import Rows, rows_of
from actors.logic.footprint import SEGMENT_ROWS
from cluster.errors import Halt, UserError

SIZE = 8
ROOT = Path(__file__).parents[3]


def rows(start: int, count: int, size: int = SIZE) -> Rows:
    """Rows whose ids, forms and vectors tell their positions."""
    positions = np.arange(start, start + count)
    ids = [b"\0" * 8 + int(one).to_bytes(4, "big") for one in positions]
    forms = [int(one).to_bytes(4, "big") + b"\0" * 12 for one in positions]  # zeros at both ends: no text
    return rows_of(ids, forms, expected_vectors(positions, size))


def expected_vectors(positions: np.ndarray, size: int = SIZE) -> np.ndarray:
    return ((positions[:, None] * 7 + np.arange(size)) % 1009).astype(np.float16)


def log(folder: Path | None, model: str = "m", size: int = SIZE) -> IndexLog:
    return IndexLog(folder, model, size)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check(kept: IndexLog, count: int) -> None:
    """The log holds rows 0 to `count`, each once and at its position."""
    assert len(kept) == count
    at = 0
    for piece in kept.pieces():
        expected = rows(at, len(piece))
        assert piece.ids.tobytes() == expected.ids.tobytes()
        assert piece.forms.tobytes() == expected.forms.tobytes()
        assert np.array_equal(piece.vectors, expected.vectors)
        at += len(piece)
    assert at == count


# --- the tail


def test_rows_are_read_by_position_in_any_order_and_more_than_once(tmp_path):
    for kept in (log(tmp_path), log(None)):
        kept.append(rows(0, SEGMENT_ROWS + 100))
        kept.append(rows(SEGMENT_ROWS + 100, 50))
        positions = np.array([SEGMENT_ROWS + 149, 3, 3, SEGMENT_ROWS, 0, SEGMENT_ROWS - 1])
        assert np.array_equal(kept.vectors(positions), expected_vectors(positions))
        assert kept.ids(positions) == [b"\0" * 8 + int(one).to_bytes(4, "big") for one in positions]
        assert kept.form(SEGMENT_ROWS) == SEGMENT_ROWS.to_bytes(4, "big") + b"\0" * 12
        assert kept.vectors(np.array([], np.int64)).shape == (0, SIZE)


def test_each_life_of_a_writer_has_a_stream_of_its_own_and_all_are_read(tmp_path):
    for life in range(3):
        kept = log(tmp_path)
        kept.append(rows(4 * life, 3))
        kept.append(rows(4 * life + 3, 1))
    assert names(tmp_path) == ["log-00001.arrows", "log-00002.arrows", "log-00003.arrows"]
    check(log(tmp_path), 12)


def test_a_log_that_takes_nothing_writes_nothing(tmp_path):
    assert len(log(tmp_path / "dedup")) == 0
    assert not (tmp_path / "dedup").exists()


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    """A stream of two batches of five, and where the second begins."""
    folder = tmp_path_factory.mktemp("log")
    kept = log(folder)
    kept.append(rows(0, 5))
    [path] = folder.iterdir()
    first = path.stat().st_size
    kept.append(rows(5, 5))
    return path.read_bytes(), first


def test_what_is_acknowledged_is_in_the_file(stream):
    whole, first = stream
    assert 0 < first < len(whole)


def torn_at(folder: Path, whole: bytes, cuts: range) -> Iterator[tuple[int, Path]]:
    folder.mkdir()
    for cut in cuts:
        path = folder / "log-00001.arrows"
        path.write_bytes(whole[:cut])
        yield cut, path


def test_a_torn_batch_costs_itself_alone_wherever_it_is_torn(tmp_path, stream):
    whole, first = stream
    for cut, _ in torn_at(tmp_path / "log", whole, range(first, len(whole))):
        assert len(log(tmp_path / "log")) == 5, cut
    check(log(tmp_path / "log"), 5)
    assert names(tmp_path / "log") == ["log-00001.arrows"]


def test_a_log_torn_before_its_first_batch_is_empty(tmp_path, stream):
    whole, first = stream
    assert {len(log(tmp_path / "log")) for _ in torn_at(tmp_path / "log", whole, range(0, first, 5))} == {0}


def test_after_a_torn_batch_a_new_writer_goes_on_and_nothing_is_lost(tmp_path, stream):
    whole, first = stream
    for _, path in torn_at(tmp_path / "log", whole, range(first, len(whole), 31)):
        log(path.parent).append(rows(5, 5))
        check(log(path.parent), 10)
        (path.parent / "log-00002.arrows").unlink()


@pytest.mark.parametrize(("model", "size"), [("other", SIZE), ("m", 4)])
@pytest.mark.parametrize("count", [1, SEGMENT_ROWS])
def test_a_log_of_another_model_or_dimension_is_refused_and_both_are_named(tmp_path, model, size, count):
    log(tmp_path).append(rows(0, count))
    log(tmp_path)  # seals what is full
    with pytest.raises(UserError) as refusal:
        log(tmp_path, model, size)
    message = str(refusal.value)
    assert "personas.dedup.model" in message and "--fresh" in message and "\n" not in message
    assert f"{model} ({size} components)" in message and f"m ({SIZE})" in message


# --- segments


def test_full_segments_replace_the_streams_that_they_hold(tmp_path):
    kept = log(tmp_path)
    for start in range(0, 3 * SEGMENT_ROWS, 10_000):
        kept.append(rows(start, 10_000))
    count = len(kept)
    check(kept, count)
    # what the last batch filled is sealed before the next
    assert [name for name in names(tmp_path) if name.startswith("segment")] == [
        f"segment-0000{number}.arrow" for number in range((count - 10_000) // SEGMENT_ROWS)
    ]
    check(log(tmp_path), count)
    in_streams = sum(len(batch) for path in tmp_path.glob("log-*") for batch in pa.ipc.open_stream(path.read_bytes()))
    assert in_streams < 2 * SEGMENT_ROWS


def test_a_segment_is_read_by_plain_pyarrow(tmp_path):
    kept = log(tmp_path)
    kept.append(rows(0, SEGMENT_ROWS + 1))
    kept.append(rows(SEGMENT_ROWS + 1, 1))
    with pa.ipc.open_file(str(tmp_path / "segment-00000.arrow")) as file:
        table = file.read_all()
    assert table.schema.names == ["persona_id", "form", "vector"]
    assert table.num_rows == SEGMENT_ROWS
    assert table["persona_id"][5].as_py() == b"\0" * 8 + (5).to_bytes(4, "big")
    assert np.array_equal(np.array(table["vector"][77].as_py()), expected_vectors(np.array([77]))[0])


def test_a_log_of_streams_alone_opens_whatever_its_length_and_is_sealed(tmp_path):
    schema = pa.schema(
        [("persona_id", pa.binary(12)), ("form", pa.binary(16)), ("vector", pa.list_(pa.float16(), SIZE))],
        metadata={"model": "m"},
    )
    at = 0
    for number, batches in ((1, [100_000, 60_001]), (4, [5, 30_000]), (5, [SEGMENT_ROWS])):
        with pa.ipc.new_stream(str(tmp_path / f"log-{number:05}.arrows"), schema) as writer:
            for count in batches:
                some = rows(at, count)
                columns = [some.ids.tolist(), some.forms.tolist(), list(some.vectors)]
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                writer.write_batch(pa.record_batch(arrays, schema=schema))
                at += count
    check(log(tmp_path), at)
    assert len(list(tmp_path.glob("segment-*.arrow"))) == at // SEGMENT_ROWS
    again = log(tmp_path)
    check(again, at)
    again.append(rows(at, 10))
    check(log(tmp_path), at + 10)


@pytest.mark.parametrize("half", [True, False])
def test_a_seal_that_was_cut_off_before_the_streams_were_removed_doubles_nothing(tmp_path, half):
    folder, before = tmp_path / "log", tmp_path / "before"
    kept = log(folder)
    for start in range(0, SEGMENT_ROWS, 10_000):
        kept.append(rows(start, 10_000))
        if start in (0, 30_000):
            kept.close()  # the next batch begins another stream
            kept = log(folder)
    count = len(kept)
    shutil.copytree(folder, before)
    kept.append(rows(count, 1))
    assert not (folder / "log-00001.arrows").exists()
    streams = sorted(before.glob("log-*"))
    for path in streams[1:] if half else streams:  # in order or not, some are there still
        shutil.copy(path, folder)
    check(log(folder), count + 1)
    again = log(folder)
    again.append(rows(count + 1, SEGMENT_ROWS))
    again.append(rows(count + 1 + SEGMENT_ROWS, 3))
    check(log(folder), count + 4 + SEGMENT_ROWS)


def test_a_segment_that_was_never_renamed_is_removed_and_written_again(tmp_path):
    kept = log(tmp_path)
    kept.append(rows(0, SEGMENT_ROWS))
    (tmp_path / ".segment-00000.arrow.1-ab.tmp").write_bytes(b"half of it")
    check(log(tmp_path), SEGMENT_ROWS)
    assert names(tmp_path) == ["segment-00000.arrow"]


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_segment_that_is_not_as_it_was_written_is_named(tmp_path, damage):
    kept = log(tmp_path)
    kept.append(rows(0, 2 * SEGMENT_ROWS))
    kept.append(rows(2 * SEGMENT_ROWS, 1))
    path = tmp_path / "segment-00000.arrow"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=rf"segment-00000\.arrow is {damage}; .*--fresh"):
        log(tmp_path)


def test_new_streams_are_numbered_beyond_what_segments_have_taken(tmp_path):
    kept = log(tmp_path)
    kept.append(rows(0, SEGMENT_ROWS))
    check(log(tmp_path), SEGMENT_ROWS)
    assert names(tmp_path) == ["segment-00000.arrow"]  # no stream is left to count from
    log(tmp_path).append(rows(SEGMENT_ROWS, 7))
    check(log(tmp_path), SEGMENT_ROWS + 7)


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_log import log, rows
kept = log(Path(sys.argv[1]))
print(len(kept), flush=True)
for count in [1, 16_384, 40_000, 100, 65_536] * 100:
    kept.append(rows(len(kept), count))
    print(len(kept), flush=True)
"""


def test_killing_the_writer_again_and_again_neither_loses_nor_doubles_a_row(tmp_path):
    rng, sealed = random.Random(0), 0
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for _ in range(8):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            for _ in range(rng.randrange(1, 9)):
                acknowledged = int(writer.stdout.readline())
            pause = rng.random() * 0.15
            try:
                writer.wait(pause)
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
        kept = log(tmp_path)
        assert len(kept) >= acknowledged
        check(kept, len(kept))
        sealed = len(list(tmp_path.glob("segment-*.arrow")))
    assert sealed > 6


# --- limits


def test_what_a_full_disk_refuses_is_not_there_and_what_it_takes_later_is(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 300_000)
    kept = log(small_disk / "log")
    with pytest.raises(Halt, match="No space left"):
        for _ in range(1000):
            kept.append(rows(len(kept), 1000))
    count = len(kept)
    assert count > 0
    ballast.unlink()
    kept.append(rows(count, 1000))
    check(kept, count + 1000)
    check(log(small_disk / "log"), count + 1000)


def test_a_full_disk_at_a_seal_costs_nothing(small_disk, tmp_path):
    folder = tmp_path / "log"
    kept = log(folder)
    kept.append(rows(0, SEGMENT_ROWS))
    kept.close()
    (small_disk / "log-00001.arrows").symlink_to(folder / "log-00001.arrows")
    with pytest.raises(Halt, match="No space left"):
        log(small_disk)  # has no room for the segment
    check(log(folder), SEGMENT_ROWS)


def test_sealed_rows_take_no_memory(tmp_path):
    size, kept = 64, log(tmp_path, size=64)
    some = rows(0, SEGMENT_ROWS, size)
    kept.append(some)
    tracemalloc.start()
    for _ in range(6):
        kept.append(some)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    row = 12 + 16 + 2 * size
    assert held < 1.5 * SEGMENT_ROWS * row  # the tail: 65,536 rows of the last batch
    assert peak < 5 * SEGMENT_ROWS * row
    assert len(kept) == 7 * SEGMENT_ROWS


# --- signatures


def signed(folder: Path, signature: int) -> IndexLog:
    return IndexLog(folder, "m", 4, signature)


def test_signatures_are_kept_from_stream_to_segment_to_restart(tmp_path):
    signatures = np.random.default_rng(0).integers(256, size=(70_000, 128), dtype=np.uint8)
    log = signed(tmp_path, 128)
    for start in range(0, 70_000, 10_000):
        ids = [at.to_bytes(12, "big") for at in range(start, start + 10_000)]
        vectors = np.zeros((10_000, 4), np.float16)
        log.append(rows_of(ids, [one + bytes(4) for one in ids], vectors, signatures[start : start + 10_000]))
    log.append(rows_of([b"x" * 12], [b"x" * 16], np.zeros((1, 4), np.float16), signatures[:1]))
    positions = np.array([0, 9_999, 65_535, 65_536, 69_999])
    for kept in (log, signed(tmp_path, 128)):
        assert (kept.signatures(positions) == signatures[positions]).all()
        assert len(kept) == 70_001


@pytest.mark.parametrize(
    ("first", "then", "said"), [(0, 128, "is set but .* without"), (128, 0, "is not set but .* with ")]
)
def test_a_log_with_signatures_is_not_opened_without_them_nor_the_other_way_round(tmp_path, first, then, said):
    log = signed(tmp_path, first)
    log.append(rows_of([b"x" * 12], [b"x" * 16], np.zeros((1, 4), np.float16), np.zeros((1, first), np.uint8)))
    log.close()
    with pytest.raises(UserError, match=rf"personas\.dedup\.minhash {said}"):
        signed(tmp_path, then)
