"""The sealed part of the index log: Arrow IPC files of 65,536 rows each, written whole and mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from actors.index.rows import Layout, Rows, check_schema, from_batch, layout_of, schema_of, to_batch
from cluster.errors import UserError
from cluster.files import atomic_path
from cluster.local_copies import local_copy


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a seal ended in the tail: the first `row` rows of its file `number`, and all of the files before it."""

    number: int = 0
    row: int = 0


def write_segment(folder: Path, order: int, rows: Rows, through: Place, layout: Layout) -> None:
    """Segment number `order`, synced before it has its name; `through` is where in the tail its rows end."""
    schema = schema_of(layout, {"through": f"{through.number}:{through.row}"})
    with (
        atomic_path(segment_path(folder, order)) as path,
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        writer.write_batch(to_batch(rows, schema))


def map_segment(folder: Path, order: int, layout: Layout) -> tuple[Rows, Place]:
    """Its rows, left on the disk, and where in the tail they ended. `UserError` where it is not as it was written."""
    with _whole(segment_path(folder, order)) as path:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        check_schema(path, file.schema, layout)
        rows = from_batch(file.get_batch(0))
        number, _, row = file.schema.metadata[b"through"].decode().partition(":")
        return rows, Place(int(number), int(row))


def segment_layout(folder: Path, order: int) -> Layout:
    """What wrote the segment. `UserError` as from `map_segment`."""
    with _whole(segment_path(folder, order)) as path, pa.memory_map(str(path)) as file:
        return layout_of(pa.ipc.open_file(file).schema)


def map_segments(folder: Path, layout: Layout) -> Iterator[tuple[Rows, Place]]:
    """Every segment in order, after what a killed writer left half written is removed."""
    for stray in folder.glob(".segment-*.tmp"):
        stray.unlink(missing_ok=True)
    for order in range(segment_count(folder)):
        yield map_segment(folder, order, layout)


def segment_count(folder: Path) -> int:
    """How many there are, those that are missing among them."""
    return 1 + max((int(path.stem.partition("-")[2]) for path in folder.glob("segment-*.arrow")), default=-1)


def segment_path(folder: Path, order: int) -> Path:
    return folder / f"segment-{order:05}.arrow"


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    try:
        yield local_copy(path)
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is damaged"
        raise UserError(f"{path} {reason}; put it back from a copy, or start over with --fresh") from error
