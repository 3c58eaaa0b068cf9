"""Reads the logs of kept personas as they lie on the disk: changes nothing, and so may be used beside their writer.

Tells what was logged when it began; who needs all of it waits until nothing more is admitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.index.rows import ID, Layout, Rows, layout_of
from actors.index.segments import Place, map_segment, segment_count, segment_layout
from actors.index.tail import read_stream, stream_numbers, stream_path
from cluster.local_copies import opened


def kept_rows(folder: Path) -> Iterator[Rows]:
    """All rows of the log in `folder` and of those of its shards, in pieces of at most a segment, mapped where they are
    sealed; nothing where there is no log. `UserError` where a segment is not as it was written."""
    for one in [folder, *sorted(folder.glob("shard-*"))]:
        if layout := _layout(one):
            yield from _rows_of(one, layout)


def find(folder: Path, ids: Sequence[bytes]) -> tuple[list[bytes], NDArray[np.float16], NDArray[np.int64]]:
    """Those of the ids (12 bytes each) that are kept, in the order of the log; their vectors (n × d), and in which row
    of all (n) each is."""
    wanted = np.unique(_heads(np.frombuffer(b"".join(ids), ID)))
    found, vectors, positions, start = list[bytes](), [np.empty((0, 0), np.float16)], [np.empty(0, np.int64)], 0
    for rows in kept_rows(folder):
        at = np.flatnonzero(np.isin(_heads(rows.ids), wanted))
        found += [one.tobytes() for one in rows.ids[at]]
        vectors = [one for one in vectors if len(one)] + [rows.vectors[at]]
        positions.append(start + at)
        start += len(rows)
    return found, np.concatenate(vectors), np.concatenate(positions)


def _heads(ids: NDArray[np.void]) -> NDArray[np.uint64]:
    """The first eight of the twelve bytes, which are digests already: among 10⁹ no two are equal but by a freak."""
    return np.ascontiguousarray(ids.view(np.uint8).reshape(-1, ID.itemsize)[:, :8]).view(np.uint64).ravel()


def _rows_of(folder: Path, layout: Layout) -> Iterator[Rows]:
    sealed = Place()
    for order in range(segment_count(folder)):
        rows, sealed = map_segment(folder, order, layout)
        yield rows
    tail = [
        rows
        for number in stream_numbers(folder)
        if number >= sealed.number
        for rows in _beyond(stream_path(folder, number), layout, sealed.row if number == sealed.number else 0)
    ]
    if tail:
        yield _joined(tail)


def _beyond(path: Path, layout: Layout, known: int) -> Iterator[Rows]:
    """What a stream holds beyond its first `known` rows."""
    at = 0
    for rows in read_stream(path, layout):
        if known < at + len(rows):
            yield rows.part(max(0, known - at), len(rows))
        at += len(rows)


def _joined(parts: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([one.ids for one in parts]),
        np.concatenate([one.forms for one in parts]),
        np.concatenate([one.vectors for one in parts]),
        np.concatenate([one.signatures for one in parts]),
    )


def _layout(folder: Path) -> Layout | None:
    """What wrote the log, as its first whole file says; None where there is none."""
    if segment_count(folder):
        return segment_layout(folder, 0)
    for number in stream_numbers(folder):
        with opened(stream_path(folder, number)) as source:
            try:
                return layout_of(pa.ipc.open_stream(source).schema)
            except pa.ArrowInvalid:
                continue  # killed before the schema was whole
    return None
