"""Puts the small parts of a finished lap together to parts of even size under names of their own: at most 100,000 rows
or 128 MB, whichever comes first.

A unit's part is small, so that little is done again after a crash; a dataset of a million rows is not to be thousands
of files. The merged part is whole before the manifest names it; what the manifest no longer names is swept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from cluster.files import atomic_path
from cluster.manifest import Manifest
from cluster.parts import part_path

MOST_ROWS = 100_000
MOST_BYTES = 128 * 2**20
_GROUP_ROWS = 10_000  # of a row group
FOLDERS = ("conversations", "rejected_conversations", "failures")


def merge_lap(folder: Path, manifest: Manifest, lap: int, most_rows: int = MOST_ROWS) -> None:
    """Merge the parts of the lap. What a killed merge left is done again."""
    parts, begins = manifest.conversations.parts, f"{lap}-"
    names = sorted(name for name in parts if name.startswith(begins) and not _is_merged(name))
    number = sum(name.startswith(begins) and _is_merged(name) for name in parts)
    for group in _groups(folder, [(name, parts[name]["rows"]) for name in names], most_rows):
        if len(group) == 1 and len(names) == 1:
            return
        target = f"{lap}-{number:05d}"
        ray.get(ray.remote(merge).options(num_cpus=0.25, max_retries=3).remote(folder, group, target))
        counts: Counter[str] = Counter()
        for name in group:
            counts.update(parts.pop(name))
        parts[target] = dict(counts)
        manifest.save()
        for name in group:
            for kind in FOLDERS:
                part_path(folder / kind, name).unlink(missing_ok=True)
        number += 1


def merge(folder: Path, names: list[str], target: str) -> None:
    """Write the parts `names` of each folder one after the other into the part `target` there, beside them. `Halt` on a
    full disk."""
    for kind in FOLDERS:
        sources = [path for name in names if (path := part_path(folder / kind, name)).exists()]
        if sources:
            _write(sources, part_path(folder / kind, target))


def _write(sources: list[Path], target: Path) -> None:
    schema = pq.read_schema(sources[0])
    with atomic_path(target) as free, pq.ParquetWriter(free, schema, compression="zstd") as writer:
        held, rows = list[pa.Table](), 0
        for path in sources:
            held.append(pq.read_table(path))
            rows += len(held[-1])
            if rows >= _GROUP_ROWS:
                writer.write_table(pa.concat_tables(held).combine_chunks())
                held, rows = [], 0
        if held:
            writer.write_table(pa.concat_tables(held).combine_chunks())


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
