from pathlib import Path

import numpy as np
import pytest
from geometry import scattered

from actors.index.kept import find, kept_rows
from actors.index.log import IndexLog
from actors.index.rows import rows_of
from actors.logic.footprint import SEGMENT_ROWS
from cluster.errors import UserError

SIZE = 8


def identity(number: int) -> bytes:
    return number.to_bytes(8, "big") + b"\0" * 4


def write(folder: Path, start: int, count: int, batch: int = 10_000) -> IndexLog:
    log = IndexLog(folder, "m", SIZE)
    for low in range(start, start + count, batch):
        ids = [identity(one) for one in range(low, min(low + batch, start + count))]
        log.append(rows_of(ids, [one + b"form" for one in ids], scattered(len(ids), low).astype(np.float16)))
    return log


def ids(folder: Path) -> list[bytes]:
    return [one.tobytes() for rows in kept_rows(folder) for one in rows.ids]


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("count", [0, 1, 25, SEGMENT_ROWS, 2 * SEGMENT_ROWS + 7])
def test_all_rows_are_read_in_order_beside_their_writer_and_nothing_is_changed(tmp_path, count):
    log = write(tmp_path, 0, count, batch=10 if count < 100 else 10_000)
    before = state(tmp_path)
    assert ids(tmp_path) == [identity(one) for one in range(count)]
    vectors = [rows.vectors for rows in kept_rows(tmp_path)]
    written = [rows.vectors for rows in log.pieces()]
    assert count == 0 or np.array_equal(np.concatenate(vectors), np.concatenate(written))
    assert state(tmp_path) == before
    log.close()


def test_a_torn_end_is_left_out(tmp_path):
    write(tmp_path, 0, 40, batch=10).close()
    [stream] = tmp_path.glob("log-*.arrows")
    stream.write_bytes(stream.read_bytes()[:-100])
    assert ids(tmp_path) == [identity(one) for one in range(30)]


def test_a_stream_that_has_no_schema_yet_is_passed_over(tmp_path):
    (tmp_path / "log-00001.arrows").write_bytes(b"")
    write(tmp_path, 0, 5).close()
    assert ids(tmp_path) == [identity(one) for one in range(5)]


def test_rows_of_all_shards_follow_one_another(tmp_path):
    for number in range(3):
        write(tmp_path / f"shard-{number}", 10 * number, 10).close()
    assert ids(tmp_path) == [identity(one) for one in range(30)]


def test_where_nothing_is_kept_there_are_no_rows(tmp_path):
    assert ids(tmp_path / "none") == []
    assert find(tmp_path / "none", [identity(1)])[0] == []


def test_a_damaged_segment_is_refused_by_name(tmp_path):
    write(tmp_path, 0, SEGMENT_ROWS + 20_000).close()
    segment = tmp_path / "segment-00000.arrow"
    segment.write_bytes(segment.read_bytes()[: 10**6])
    with pytest.raises(UserError, match=r"segment-00000.arrow is damaged"):
        ids(tmp_path)


def test_ids_are_found_with_their_vectors_and_rows(tmp_path):
    write(tmp_path / "shard-0", 0, SEGMENT_ROWS + 20_000).close()
    write(tmp_path / "shard-1", 500_000, 10).close()
    asked = [70_000, 5, 500_003, 999_999]
    found, vectors, positions = find(tmp_path, [identity(one) for one in asked])
    assert found == [identity(5), identity(70_000), identity(500_003)]
    assert positions.tolist() == [5, 70_000, SEGMENT_ROWS + 20_003]
    everything = np.concatenate([rows.vectors for rows in kept_rows(tmp_path)])
    assert np.array_equal(vectors, everything[positions])
