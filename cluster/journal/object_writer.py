"""Puts answers into an object store, in segments of about a second."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from cluster.journal.bucket import Bucket
from cluster.journal.file_writer import check_writer_id
from cluster.journal.record import line_of

SEGMENT_BYTES = 1 << 20


@dataclass(slots=True, eq=False)
class _Segment:
    """Lines that become one object."""

    name: str
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    stored: asyncio.Task[None] | None = None


class ObjectWriter:
    """A segment takes what comes within `linger_s` of its first record, up to `segment_bytes`, and is then put whole.

    `append` returns when the record's segment is stored, so that who is told of an answer can find it again whatever
    dies. A put that fails is tried again for as long as the bucket has patience; then all who wait for it get a `Halt`.
    Memory holds the records of calls in flight, no more.
    """

    def __init__(
        self, bucket: Bucket, writer_id: str, linger_s: float = 1.0, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        check_writer_id(writer_id)
        self._bucket, self._linger_s, self._segment_bytes = bucket, linger_s, segment_bytes
        self._name, self._number = f"{writer_id}-{secrets.token_hex(4)}", 0
        self._open: _Segment | None = None
        self._putting: set[asyncio.Task[None]] = set()

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """An object store has room."""
        yield

    async def append(self, key: bytes, item: str, answer: Mapping[str, object]) -> None:
        """Returns when the record is stored; raises Halt when it cannot be."""
        at = time.time()
        line = line_of(key, at, item, answer)
        segment = self._open or self._begin(at)
        segment.lines.append(line)
        segment.size += len(line)
        if segment.size >= self._segment_bytes:
            self._complete(segment)
        assert segment.stored is not None
        await asyncio.shield(segment.stored)

    async def close(self) -> None:
        """Puts what is not yet. May be called twice."""
        if self._open:
            self._complete(self._open)
        await asyncio.gather(*self._putting)

    def _begin(self, at: float) -> _Segment:
        segment = self._open = _Segment(f"{int(at * 1000):013d}-{self._name}-{self._number}.jsonl")
        self._number += 1
        segment.stored = asyncio.get_running_loop().create_task(self._store(segment))
        self._putting.add(segment.stored)
        segment.stored.add_done_callback(self._putting.discard)
        return segment

    def _complete(self, segment: _Segment) -> None:
        self._open = None
        segment.complete.set()

    async def _store(self, segment: _Segment) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(segment.complete.wait(), self._linger_s)
        if self._open is segment:
            self._open = None
        await asyncio.to_thread(self._bucket.put, segment.name, b"".join(segment.lines))
