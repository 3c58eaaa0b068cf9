from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.parts import part_path, sweep, write_part

TABLE = pa.table({"text": ["one", "two"], "number": [1, 2]})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def touch(folder: Path, *files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in files:
        (folder / name).write_text("x")


def test_a_part_is_read_back_as_it_was_written(tmp_path):
    path = write_part(tmp_path / "new" / "folder", "a", TABLE)
    assert path == part_path(tmp_path / "new" / "folder", "a")
    assert pq.read_table(path).equals(TABLE)
    assert names(path.parent) == ["part-a.parquet"]


def test_an_empty_part_keeps_its_columns(tmp_path):
    path = write_part(tmp_path, "a", TABLE.schema.empty_table())
    assert pq.read_table(path).schema.equals(TABLE.schema)


def test_a_part_written_again_replaces_itself(tmp_path):
    write_part(tmp_path, "a", TABLE)
    write_part(tmp_path, "a", TABLE.slice(1))
    assert names(tmp_path) == ["part-a.parquet"]
    assert pq.read_table(part_path(tmp_path, "a")).num_rows == 1


def test_a_part_that_cannot_be_written_leaves_the_earlier_one_and_nothing_else(tmp_path):
    write_part(tmp_path, "a", TABLE)
    unwritable = pa.table({"x": pa.array([None], pa.month_day_nano_interval())})
    with pytest.raises(NotImplementedError):
        write_part(tmp_path, "a", unwritable)
    assert names(tmp_path) == ["part-a.parquet"]
    assert pq.read_table(part_path(tmp_path, "a")).equals(TABLE)


def test_a_sweep_removes_the_parts_that_are_not_named(tmp_path):
    for name in ("a", "b", "c"):
        write_part(tmp_path, name, TABLE)
    assert sweep(tmp_path, ["b", "not there"]) == 2
    assert names(tmp_path) == ["part-b.parquet"]


def test_a_sweep_removes_what_a_killed_writer_left(tmp_path):
    write_part(tmp_path, "a", TABLE)
    touch(tmp_path, ".part-a.parquet.4711-0a1b2c3d.tmp")
    assert sweep(tmp_path, ["a"]) == 1
    assert names(tmp_path) == ["part-a.parquet"]


def test_a_name_that_begins_like_another_is_another(tmp_path):
    for name in ("a", "ab", "0-a-0001"):
        write_part(tmp_path, name, TABLE)
    sweep(tmp_path, ["ab"])
    assert names(tmp_path) == ["part-ab.parquet"]


@pytest.mark.parametrize(
    "name", ["part-1.txt", "my-part-two.parquet", "counterpart-list.md", "notes.txt", "part-x.parquet.bak"]
)
def test_a_sweep_leaves_what_no_run_writes(tmp_path, name):
    touch(tmp_path, name)
    assert sweep(tmp_path, []) == 0
    assert names(tmp_path) == [name]


def test_a_folder_that_is_not_there_is_swept(tmp_path):
    assert sweep(tmp_path / "none", []) == 0
