"""The open part of the index log: its latest rows, in memory and in Arrow IPC streams that are appended to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from actors.index.rows import Layout, Rows, check_schema, empty_rows, from_batch, schema_of, to_batch
from actors.index.segments import Place
from cluster.files import halt_on_disk_error
from cluster.local_copies import opened
from cluster.object_path import ObjectPath

_LEAST_ROOM = 1024
_OBJECT_BYTES = 1 << 20  # from which on another stream is begun


def read_stream(path: Path, layout: Layout) -> Iterator[Rows]:
    """The batches of a stream; a torn one ends it. `UserError` where another model or dimension wrote it."""
    with opened(path) as source:
        try:
            stream = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            return  # killed before the schema was whole
        check_schema(path, stream.schema, layout)
        while True:
            try:
                batch = stream.read_next_batch()
            except (StopIteration, pa.ArrowInvalid, OSError):
                return  # the end, or the torn batch of a killed writer
            yield from_batch(batch)


class StreamWriter:
    """A stream under its own number. What it could not write whole is cut off again, so that the next can."""

    def __init__(self, folder: Path, number: int, layout: Layout) -> None:
        self.number, self.rows = number, 0
        self._path = stream_path(folder, number)
        self._schema = schema_of(layout)
        with halt_on_disk_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(self._path), "wb")
            self._stream = pa.ipc.new_stream(self._sink, self._schema)

    def append(self, rows: Rows) -> None:
        """Written to the operating system when this returns. After an error the writer is closed."""
        whole = self._sink.tell()
        try:
            with halt_on_disk_error(self._path.parent):
                self._stream.write_batch(to_batch(rows, self._schema))
                self._sink.flush()
                self.rows += len(rows)
        except BaseException:
            self.close()
            with suppress(OSError), self._path.open("rb+") as file:
                file.truncate(whole)
            raise

    @property
    def is_full(self) -> bool:
        """Never: it goes on until it is sealed."""
        return False

    def close(self) -> None:
        """Lets the file go as a killed writer would: a stream needs no end."""
        with suppress(OSError):
            self._sink.close()


class ObjectWriter:
    """A stream as an object, which nothing can be appended to: it is put again, longer, while it is short."""

    def __init__(self, folder: ObjectPath, number: int, layout: Layout) -> None:
        self.number, self.rows, self._bytes = number, 0, 0
        self._path, self._schema = stream_path(folder, number), schema_of(layout)
        self._batches: list[pa.RecordBatch] = []

    @property
    def is_full(self) -> bool:
        return self._bytes >= _OBJECT_BYTES

    def append(self, rows: Rows) -> None:
        """In the store when this returns."""
        self._batches.append(to_batch(rows, self._schema))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema) as stream:
            for batch in self._batches:
                stream.write_batch(batch)
        content = sink.getvalue()
        self._path.write_bytes(content)
        self.rows, self._bytes = self.rows + len(rows), len(content)

    def close(self) -> None:
        """All of it is in the store."""


@dataclass(slots=True)
class _Extent:
    """`count` rows of the tail, which begin at `start` in stream `number`."""

    number: int
    start: int
    count: int


class TailRows:
    """The rows of the tail in memory, and in which streams they lie. Views given out stay as they were."""

    def __init__(self, layout: Layout) -> None:
        self._room, self._count = empty_rows(0, layout), 0
        self._layout, self._extents = layout, list[_Extent]()

    def __len__(self) -> int:
        return self._count

    def rows(self) -> Rows:
        return self._room.part(0, self._count)

    def add(self, rows: Rows, number: int, start: int) -> None:
        """Takes rows that begin at `start` in stream `number`."""
        stop = self._count + len(rows)
        if stop > len(self._room):
            grown = empty_rows(max(2 * len(self._room), stop, _LEAST_ROOM), self._layout)
            self.rows().copy_to(grown.part(0, self._count))
            self._room = grown
        rows.copy_to(self._room.part(self._count, stop))
        self._count = stop
        if self._extents and self._extents[-1].number == number:
            self._extents[-1].count += len(rows)
        else:
            self._extents.append(_Extent(number, start, len(rows)))

    def place(self, count: int) -> Place:
        """Where in the streams the first `count` rows end."""
        for extent in self._extents:
            if count <= extent.count:
                return Place(extent.number, extent.start + count)
            count -= extent.count
        raise AssertionError("more rows than the tail has")

    def lies_in(self, number: int) -> bool:
        """Whether some of the rows are those of stream `number`."""
        return any(extent.number == number for extent in self._extents)

    def drop(self, count: int) -> None:
        """Forgets the first `count` rows."""
        left = self.rows().part(count, self._count)
        self._room, self._count = empty_rows(max(len(left), _LEAST_ROOM), self._layout), len(left)
        left.copy_to(self._room.part(0, self._count))
        while count:
            first = self._extents[0]
            taken = min(count, first.count)
            first.start, first.count, count = first.start + taken, first.count - taken, count - taken
            if not first.count:
                self._extents.pop(0)


def stream_path(folder: Path, number: int) -> Path:
    return folder / f"log-{number:05d}.arrows"


def stream_numbers(folder: Path) -> list[int]:
    """The streams that lie in a folder, in the order in which they were written."""
    return sorted(int(path.stem[4:]) for path in folder.glob("log-*.arrows"))
