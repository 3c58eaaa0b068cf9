import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.folder_swap import exchange, link_all, rename_in_turn, settle, successor_of
from cluster.manifest import Lap, Manifest, load
from cluster.parts import part_path, write_part
from pipelines.merging import FOLDERS, merge, merge_lap
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
    made = Manifest(tmp_path / "manifest.json", "run", {}, laps=[Lap(100, 10, True), Lap(10, 10, True)])
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


@pytest.mark.parametrize("at", ["made", "named", "swapped"])
def test_a_merge_that_is_killed_leaves_every_row_once(tmp_path, manifest, at):
    group = sorted(manifest.conversations.parts)[:10]
    merge(tmp_path, group, "0-00000")
    for kind in ("conversations", "failures"):
        link_all(tmp_path / kind, [part_path(tmp_path, name).name for name in group])
    if at != "made":
        for name in group:
            manifest.conversations.parts.pop(name)
        manifest.conversations.parts["0-00000"] = {"rows": 100, "failures": 5}
    if at == "swapped":
        exchange(tmp_path / "conversations", successor_of(tmp_path / "conversations"))
    for kind in FOLDERS:
        settle(tmp_path / kind, manifest.conversations.parts)
    sweep_strays(tmp_path, manifest)
    merge_lap(tmp_path, manifest, 0)
    assert names(tmp_path) == ["0-00000", "1-a-0000"] and rows(tmp_path) == list(range(110))
    assert names(tmp_path, "failures") == ["0-00000"] and sorted(rows(tmp_path, "failures")) == [1003, 1005]
    assert not list(tmp_path.glob(".*.next"))


def test_the_parts_of_a_lap_that_ended_early_are_merged_and_not_owed_again(tmp_path, manifest):
    manifest.laps[0].done = False
    merge_lap(tmp_path, manifest, 0)
    assert load(manifest.path).laps[0].merged == [f"0-a-{number:04d}" for number in range(10)]
    write(tmp_path, "0-a-0010", 200)
    manifest.conversations.parts["0-a-0010"] = {"rows": 10, "failures": 0}
    manifest.laps[0].done = True
    merge_lap(tmp_path, manifest, 0)
    assert names(tmp_path) == ["0-00001", "1-a-0000"], "what an early end left is filled up"
    assert sorted(rows(tmp_path)) == [*range(110), *range(200, 210)] and manifest.laps[0].merged == []


READER = """
import sys
from pathlib import Path
import pyarrow.parquet as pq

folder, seen, missed = Path(sys.argv[1]), set(), 0
print("begun", flush=True)
while not (folder / "over").exists():
    try:
        parts = [pq.read_table(path)["row"].to_pylist() for path in (folder / "conversations").glob("part-*.parquet")]
    except FileNotFoundError:
        missed += 1
        continue
    rows = [row for part in parts for row in part]
    seen.add((len(rows), len(set(rows))))
print(sorted(seen))
"""


def test_who_reads_beside_merges_sees_every_row_once_or_is_told_that_a_part_has_gone(tmp_path, manifest):
    for lap in range(2, 6):
        manifest.laps.append(Lap(100, 10, True))
        for number in range(10):
            write(tmp_path, f"{lap}-a-{number:04d}", lap * 100 + number * 10)
            manifest.conversations.parts[f"{lap}-a-{number:04d}"] = {"rows": 10, "failures": 0}
    reader = subprocess.Popen([sys.executable, "-c", READER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert reader.stdout and reader.stdout.readline() == "begun\n"
    for lap in (0, 2, 3, 4, 5):
        merge_lap(tmp_path, manifest, lap, most_rows=50)
    assert len(names(tmp_path)) == 11
    (tmp_path / "over").touch()
    assert reader.communicate()[0] == "[(510, 510)]\n"


def test_what_somebody_keeps_in_the_folder_stays_there(tmp_path, manifest):
    (tmp_path / "conversations" / "notes").mkdir()
    (tmp_path / "conversations" / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "conversations" / "mine.txt").write_text("mine")
    merge_lap(tmp_path, manifest, 0)
    assert names(tmp_path) == ["0-00000", "1-a-0000"]
    assert (tmp_path / "conversations" / "notes" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "conversations" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("killed", [False, True])
def test_where_two_folders_cannot_be_exchanged_they_are_renamed(tmp_path, killed):
    folder = tmp_path / "conversations"
    write(tmp_path, "old", 0)
    write_part(successor_of(folder), "new", pa.table({"row": [7]}))
    rename_in_turn(folder, successor_of(folder), steps=1 if killed else 3)
    settle(folder, ["new"])
    assert names(tmp_path) == ["new"] and [path.name for path in tmp_path.iterdir()] == ["conversations"]
