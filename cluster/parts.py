"""Parquet parts of a run: written whole under their final name or not at all, and swept when the manifest does not
name them. Knows no columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.files import atomic_path, halt_on_disk_error
from cluster.local_copies import readable, remove

_WRITTEN = re.compile(r"part-.*\.parquet|\.part-.*\.parquet\..*\.tmp")


def write_part(folder: Path, name: str, table: pa.Table) -> Path:
    """Write `table` to `folder/part-NAME.parquet`, replacing an earlier attempt. `Halt` on a full disk."""
    path = part_path(folder, name)
    with halt_on_disk_error(path), atomic_path(path) as whole_or_nothing:
        pq.write_table(table, whole_or_nothing, compression="zstd")
    return path


def part_path(folder: Path, name: str) -> Path:
    return folder / f"part-{name}.parquet"


def batches(folder: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of all parts in a folder, part by part."""
    for path in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(readable(path)) as file:
            yield from file.iter_batches(columns=columns)


def sweep(folder: Path, names: Iterable[str]) -> int:
    """Remove parts and temporary files that are not among `names` (a killed run's leftovers); returns how many."""
    keep = {part_path(folder, name).name for name in names}
    written = [path for path in folder.glob("*part-*.parquet*") if _WRITTEN.fullmatch(path.name)]
    strays = [path for path in written if path.name not in keep]
    remove(strays)
    return len(strays)
