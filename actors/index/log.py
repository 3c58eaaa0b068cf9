"""The log of every persona kept: ids, forms and half-precision vectors by position, on disk before they are answered.

Owns the files: streams of the latest rows, and segments of 65,536 rows that the streams are sealed into. Searches
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.index.rows import ID, Layout, Rows
from actors.index.segments import Place, map_segment, map_segments, write_segment
from actors.index.tail import ObjectWriter, StreamWriter, TailRows, read_stream, stream_numbers, stream_path
from actors.logic.footprint import SEGMENT_ROWS
from cluster.object_path import ObjectPath


class IndexLog:
    """Rows in the order of `append`, read by position (0 … n−1), which a restart keeps.

    A segment's rows stay on the disk and are mapped; the tail's, fewer than 65,536 and the last batch, are in memory,
    28 + 2 × d + s bytes each and room for as many more. A torn tail (the writer was killed) ends before what was not
    acknowledged; a crash between the steps of a seal neither loses nor doubles a row, since each segment says where in
    the tail it ends. One thread appends; any may read. Without a folder all rows are in memory alone.
    """

    def __init__(self, folder: Path | None, model: str, dimension: int, signature: int = 0) -> None:
        """`UserError` where another model or dimension wrote the folder, or a segment is not as it was written.

        Vectors have `dimension` components (d) and signatures `signature` bytes (s)."""
        self.dimension = dimension
        self._folder, self._layout = folder, Layout(model, dimension, signature)
        self._segments: list[Rows] = []
        self._sealed, self._tail = Place(), TailRows(self._layout)
        self._writer: StreamWriter | ObjectWriter | None = None
        self._last_number = 0
        self._parts: tuple[Rows, ...] = ()
        if folder:
            self._open(folder)
        self._publish()

    def __len__(self) -> int:
        parts = self._parts
        return SEGMENT_ROWS * (len(parts) - 1) + len(parts[-1])

    def append(self, rows: Rows) -> None:
        """On disk (in the hands of the operating system), then to be read. `Halt` where the disk will not take them:
        then none of them is there."""
        self._seal_full()
        if self._folder:
            if self._writer is None or self._writer.is_full:
                self._writer = self._new_writer(self._folder)
            writer = self._writer
            try:
                writer.append(rows)
            except BaseException:
                self._writer = None
                raise
            self._tail.add(rows, writer.number, writer.rows - len(rows))
        else:
            self._tail.add(rows, 0, 0)
        self._publish()

    def vectors(self, positions: NDArray[np.int64]) -> NDArray[np.float16]:
        """The vectors (n × d) at n positions."""
        found = np.empty((len(positions), self.dimension), np.float16)
        for part, here, at in self._divided(positions):
            found[here] = part.vectors[at]
        return found

    def signatures(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The signatures (n × s) at n positions."""
        found = np.empty((len(positions), self._layout.signature), np.uint8)
        for part, here, at in self._divided(positions):
            found[here] = part.signatures[at]
        return found

    def ids(self, positions: NDArray[np.int64]) -> list[bytes]:
        """The ids at n positions."""
        found = np.empty(len(positions), ID)
        for part, here, at in self._divided(positions):
            found[here] = part.ids[at]
        return [one.tobytes() for one in found]

    def form(self, position: int) -> bytes:
        [(part, _, at)] = self._divided(np.array([position]))
        return part.forms[at].tobytes()

    def pieces(self, start: int = 0) -> Iterator[Rows]:
        """All rows from `start` on, in order, as views of at most a segment each."""
        for order, part in enumerate(self._parts):
            if len(part) > (skipped := max(0, start - order * SEGMENT_ROWS)):
                yield part.part(skipped, len(part))

    def close(self) -> None:
        if self._writer:
            self._writer.close()
            self._writer = None

    def _divided(self, positions: NDArray[np.int64]) -> Iterator[tuple[Rows, NDArray[np.intp], NDArray[np.int64]]]:
        """For each part that holds some of the positions: it, which of them, and where in it they are."""
        parts = self._parts
        order = positions.argsort(kind="stable")
        which = np.minimum(positions[order] // SEGMENT_ROWS, len(parts) - 1)
        starts = np.flatnonzero(np.diff(which, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(order)], strict=False):
            here, number = order[start:stop], int(which[start])
            yield parts[number], here, positions[here] - number * SEGMENT_ROWS

    def _open(self, folder: Path) -> None:
        for rows, through in map_segments(folder, self._layout):
            self._segments.append(rows)
            self._sealed = through
        numbers = stream_numbers(folder)
        self._last_number = max([*numbers, self._sealed.number])
        before = self._sealed
        for number in numbers:
            if number >= before.number:
                self._read(folder, number, before.row if number == before.number else 0)
        self._remove_sealed(folder)

    def _read(self, folder: Path, number: int, known: int) -> None:
        """Takes into the tail what stream `number` holds beyond its first `known` rows."""
        at = 0
        for rows in read_stream(stream_path(folder, number), self._layout):
            skipped = min(max(known - at, 0), len(rows))
            if skipped < len(rows):
                self._tail.add(rows.part(skipped, len(rows)), number, at + skipped)
            at += len(rows)
            while len(self._tail) >= SEGMENT_ROWS:
                self._seal()

    def _new_writer(self, folder: Path) -> StreamWriter | ObjectWriter:
        self._last_number += 1
        if isinstance(folder, ObjectPath):
            return ObjectWriter(folder, self._last_number, self._layout)
        return StreamWriter(folder, self._last_number, self._layout)

    def _seal_full(self) -> None:
        """Makes a segment of the tail's first 65,536 rows, as often as it has them; later rows begin a new stream."""
        if len(self._tail) < SEGMENT_ROWS:
            return
        while len(self._tail) >= SEGMENT_ROWS:
            self._seal()
        self.close()
        self._publish()
        if self._folder:
            self._remove_sealed(self._folder)

    def _seal(self) -> None:
        rows, through = self._tail.rows().part(0, SEGMENT_ROWS), self._tail.place(SEGMENT_ROWS)
        if self._folder:
            order = len(self._segments)
            write_segment(self._folder, order, rows, through, self._layout)
            rows, _ = map_segment(self._folder, order, self._layout)
        self._segments.append(rows)
        self._sealed = through
        self._tail.drop(SEGMENT_ROWS)

    def _remove_sealed(self, folder: Path) -> None:
        """Removes the streams of which segments hold all; what stays because of an error goes at the next start."""
        for number in stream_numbers(folder):
            if number <= self._sealed.number and not self._tail.lies_in(number):
                with suppress(OSError):
                    stream_path(folder, number).unlink()

    def _publish(self) -> None:
        """Parts are replaced as a whole, so that a reader in another thread sees the old or the new ones."""
        self._parts = (*self._segments, self._tail.rows())
