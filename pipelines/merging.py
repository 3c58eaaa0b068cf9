"""Puts the small parts of a lap together to parts of even size under names of their own: at most 100,000 rows or
128 MB, whichever comes first.

A unit's part is small, so that little is done again after a crash; a dataset of a million rows is not to be thousands
of files. A merged part is made in the successor of its folder. When the manifest names it, that takes the folder's
place in one step, so that who lists the folder sees every row once. What a kill leaves in between is settled by the
manifest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.exceptions import RayTaskError

from cluster.files import atomic_path
from cluster.folder_swap import link_all, remove_successor, succeed, successor_of
from cluster.local_copies import readable
from cluster.manifest import Manifest
from cluster.named import as_raised
from cluster.parts import part_path

Parts = dict[str, dict[str, int]]

MOST_ROWS = 100_000
MOST_BYTES = 128 * 2**20
_GROUP_ROWS, _GROUP_BYTES = 10_000, 64 * 2**20  # of a row group, as it lies in memory
FOLDERS = ("conversations", "rejected_conversations", "failures")


def merge_laps(folder: Path, manifest: Manifest) -> None:
    """Merge the parts of every lap that is done, where an earlier session did not come to it too."""
    for number, lap in enumerate(manifest.laps):
        if lap.done:
            merge_lap(folder, manifest, number)


def merge_lap(folder: Path, manifest: Manifest, lap: int, most_rows: int = MOST_ROWS) -> None:
    """Merge the parts of the lap; of one that is not done, those that there are. What a killed merge left is done
    again."""
    parts, begins = manifest.conversations.parts, f"{lap}-"
    names = sorted(name for name in parts if name.startswith(begins) and not _is_merged(name))
    merged = sorted(name for name in parts if name.startswith(begins) and _is_merged(name))
    number = 1 + int(merged[-1].partition("-")[2]) if merged else 0
    if names and merged and parts[merged[-1]]["rows"] < most_rows:  # of a session that ended within the lap
        names.insert(0, merged[-1])
    for group in _groups(folder, [(name, parts[name]["rows"]) for name in names], most_rows):
        if len(group) == 1 and (len(names) == 1 or _is_merged(group[0])):
            continue
        target = f"{lap}-{number:05d}"
        _merge_elsewhere(folder, group, target)
        parts = put_together(parts, group, target)
        gone = [part_path(folder, name).name for name in group]
        for kind in _succeeding(folder):
            link_all(folder / kind, gone)
        manifest.conversations.parts = parts  # at once: who is interrupted here has the one or the others
        manifest.laps[lap].merged += [name for name in group if not _is_merged(name)]
        manifest.save()
        for kind in _succeeding(folder):
            succeed(folder / kind, gone)
        number += 1
    if manifest.laps[lap].done:
        manifest.laps[lap].merged = []


def _succeeding(folder: Path) -> list[str]:
    return [kind for kind in FOLDERS if successor_of(folder / kind).exists()]


def put_together(parts: Parts, group: list[str], target: str) -> Parts:
    """The parts with `target` in place of the `group`, and its counts their sums."""
    total: Counter[str] = Counter()
    for name in group:
        total.update(parts[name])
    return {name: counts for name, counts in parts.items() if name not in group} | {target: dict(total)}


def _merge_elsewhere(folder: Path, group: list[str], target: str) -> None:
    for kind in FOLDERS:
        remove_successor(folder / kind)
    try:
        ray.get(ray.remote(merge).options(num_cpus=0.25, max_retries=3).remote(folder, group, target))
    except RayTaskError as error:
        for kind in FOLDERS:
            remove_successor(folder / kind)
        raise as_raised(error) from None


def merge(folder: Path, names: list[str], target: str, group_bytes: int = _GROUP_BYTES) -> None:
    """Write the parts `names` of each folder one after the other into the part `target` in its successor. `Halt` on a
    full disk."""
    for kind in FOLDERS:
        sources = [path for name in names if (path := part_path(folder / kind, name)).is_file()]
        if sources:
            _write(sources, part_path(successor_of(folder / kind), target), group_bytes)


def _write(sources: list[Path], target: Path, group_bytes: int) -> None:
    schema = pq.read_schema(readable(sources[0]))
    with atomic_path(target) as free, pq.ParquetWriter(free, schema, compression="zstd") as writer:
        held, rows, size = list[pa.Table](), 0, 0
        for path in sources:
            for table in _pieces(path):
                held.append(table)
                rows, size = rows + len(table), size + table.nbytes
                if rows >= _GROUP_ROWS or size >= group_bytes:
                    writer.write_table(pa.concat_tables(held).combine_chunks())
                    held, rows, size = [], 0, 0
        if held:
            writer.write_table(pa.concat_tables(held).combine_chunks())


def _pieces(path: Path) -> Iterator[pa.Table]:
    """A row group at a time: a part may be a merged one."""
    with pq.ParquetFile(readable(path)) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number)


def _groups(folder: Path, parts: list[tuple[str, int]], most_rows: int) -> Iterator[list[str]]:
    """Names that go into one part, in order."""
    group: list[str] = []
    rows = size = 0
    for name, count in parts:
        weight = part_path(folder / "conversations", name).stat().st_size
        if group and (rows + count > most_rows or size + weight > MOST_BYTES):
            yield group
            group, rows, size = [], 0, 0
        group.append(name)
        rows, size = rows + count, size + weight
    if group:
        yield group


def _is_merged(name: str) -> bool:
    return name.count("-") == 1
