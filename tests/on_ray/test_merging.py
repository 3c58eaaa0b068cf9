from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.manifest import Manifest, load
from cluster.parts import part_path, write_part
from pipelines.merging import merge, merge_lap
from pipelines.run_folder import sweep_strays


def write(folder: Path, name: str, first: int, rows: int = 10, kind: str = "conversations") -> None:
    write_part(
        folder / kind, name, pa.table({"row": list(range(first, first + rows)), "text": ["a word " * 20] * rows})
    )


def names(folder: Path, kind: str = "conversations") -> list[str]:
    return sorted(path.stem.removeprefix("part-") for path in (folder / kind).glob("part-*.parquet"))


def rows(folder: Path, kind: str = "conversations") -> list[int]:
    found = [pq.read_table(part_path(folder / kind, name))["row"].to_pylist() for name in names(folder, kind)]
    return [row for part in found for row in part]


@pytest.fixture
def manifest(tmp_path):
    """Of a run with ten parts in its first lap and one in its second."""
    made = Manifest(tmp_path / "manifest.json", "run", {})
    for number in range(10):
        write(tmp_path, f"0-a-{number:04d}", number * 10)
        made.conversations.parts[f"0-a-{number:04d}"] = {"rows": 10, "failures": number % 2}
    for number in (3, 5):
        write(tmp_path, f"0-a-{number:04d}", 1000 + number, 1, "failures")
    write(tmp_path, "1-a-0000", 100)
    made.conversations.parts["1-a-0000"] = {"rows": 10, "failures": 0}
    made.save()
    return made


def test_the_parts_of_a_lap_become_few_of_even_size_and_keep_their_order(tmp_path, manifest):
    merge_lap(tmp_path, manifest, 0, most_rows=40)
    assert names(tmp_path) == ["0-00000", "0-00001", "0-00002", "1-a-0000"]
    assert rows(tmp_path) == list(range(110))
    assert names(tmp_path, "failures") == ["0-00000", "0-00001"]
    counts = load(manifest.path).conversations.parts
    assert [counts[f"0-{number:05d}"] for number in range(3)] == [
        {"rows": 40, "failures": 2},
        {"rows": 40, "failures": 2},
        {"rows": 20, "failures": 1},
    ]


def test_a_merged_lap_and_one_of_a_single_part_are_left_alone(tmp_path, manifest):
    merge_lap(tmp_path, manifest, 1)
    merge_lap(tmp_path, manifest, 0)
    merge_lap(tmp_path, manifest, 0)
    assert names(tmp_path) == ["0-00000", "1-a-0000"]
    assert rows(tmp_path) == list(range(110))


@pytest.mark.parametrize("saved", [False, True])
def test_a_merge_that_is_killed_leaves_every_row_once(tmp_path, manifest, saved):
    group = sorted(manifest.conversations.parts)[:10]
    merge(tmp_path, group, "0-00000")
    if saved:  # before the small parts were removed
        for name in group:
            manifest.conversations.parts.pop(name)
        manifest.conversations.parts["0-00000"] = {"rows": 100, "failures": 5}
    sweep_strays(tmp_path, manifest)
    merge_lap(tmp_path, manifest, 0)
    assert names(tmp_path) == ["0-00000", "1-a-0000"] and rows(tmp_path) == list(range(110))
