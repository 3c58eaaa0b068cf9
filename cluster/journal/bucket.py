"""A journal in an object store: segments are put whole, never changed, and read by pieces."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from cluster.errors import Halt
from cluster.files import atomic_path
from cluster.journal.ahead import Ahead
from cluster.local_copies import scratch
from cluster.object_path import ObjectPath
from cluster.object_store import BEYOND_ITS_END, PATIENCE_S, code_of, told

_PIECE = 4 << 20  # what is read in one go of a segment that is read through
_BLOCK = 1 << 20  # what is read around one record, and kept; most segments are one
_BLOCKS = 64
_WIDTH = 16  # requests at the same time
_BEGAN = re.compile(r"(\d{13})-")


class Bucket:
    """Segments as objects. What fails is tried again for `patience_s` seconds, and then a `Halt`."""

    def __init__(self, place: ObjectPath, index: Path | None = None, patience_s: float = PATIENCE_S) -> None:
        self._place, self.name = place, str(place)
        self.index = index or scratch(place) / "index"
        with self._told():
            self._store = place.store(patience_s)
        self._ahead: Ahead | None = None
        self._blocks: dict[tuple[str, int], asyncio.Task[bytes]] = {}

    def sizes(self) -> dict[str, int]:
        found = ((name, told_of["size"]) for name, told_of in self._place.listed() if told_of)
        return {name: size for name, size in found if name.endswith(".jsonl")}

    def began_at(self, segment: str) -> float:
        """As the name says: an object is not asked for it."""
        began = _BEGAN.match(segment)
        return int(began[1]) / 1000 if began else float("inf")

    def expect(self, segments: list[str]) -> None:
        self._ahead = Ahead(lambda segment: self._read(segment, 0, _PIECE), segments, _WIDTH)

    def lines(self, segment: str, start: int) -> Iterator[tuple[int, bytes]]:
        piece = self._ahead.take(segment) if self._ahead and not start else None
        reached, rest = start, b""
        while True:
            piece = self._read(segment, reached, _PIECE) if piece is None else piece
            reached += len(piece)
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield start, line + b"\n"
                start += len(line) + 1
            if len(piece) < _PIECE:
                return
            piece = None

    async def line(self, segment: str, offset: int) -> bytes:
        number, start = divmod(offset, _BLOCK)
        found = b""
        while True:
            block = await self._block(segment, number)
            found += block[start:]
            if (end := found.find(b"\n")) >= 0:
                return found[: end + 1]
            if len(block) < _BLOCK:
                return found
            number, start = number + 1, 0

    async def _block(self, segment: str, number: int) -> bytes:
        """One for all who ask at the same time; the ones used last are kept."""
        task = self._blocks.pop((segment, number), None)
        if task is None:
            reading = asyncio.to_thread(self._read, segment, number * _BLOCK, _BLOCK)
            task = asyncio.get_running_loop().create_task(reading)
        self._blocks[segment, number] = task
        while len(self._blocks) > _BLOCKS:
            self._blocks.pop(next(iter(self._blocks)))
        try:
            return await asyncio.shield(task)
        except FileNotFoundError:
            return b""
        except BaseException:
            self._blocks.pop((segment, number), None)
            raise

    def in_use(self, segment: str) -> bool:
        return False

    @contextmanager
    def create(self, segment: str) -> Iterator[BinaryIO]:
        with atomic_path(self._place / segment) as path, path.open("wb", buffering=1 << 20) as file:
            yield file

    def put(self, name: str, content: bytes) -> None:
        """An object, whole or not at all; again with the same content it changes nothing."""
        with self._told():
            self._store.put(self._key(name), content)

    def remove(self, segments: list[str]) -> None:
        if segments:
            with self._told():
                self._store.delete([self._key(one) for one in segments])

    def sweep(self) -> None:
        """An object that was not put whole is not there."""

    def probe(self) -> None:
        self._place.check()

    def read(self, document: str) -> bytes | None:
        try:
            return self._read(document, 0, _PIECE)
        except FileNotFoundError:
            return None

    def write(self, document: str, content: bytes | None) -> None:
        if content is None:
            self.remove([document])
        else:
            self.put(document, content)

    def close(self) -> None:
        self._blocks.clear()

    def _read(self, name: str, start: int, length: int) -> bytes:
        try:
            with self._told():
                found = self._store.get(self._key(name), options={"range": (start, start + length)})
                return found.bytes().to_bytes()
        except Halt as halt:
            if code_of(halt.__cause__) == BEYOND_ITS_END:
                return b""
            raise

    def _key(self, name: str) -> str:
        return (self._place / name).key

    def _told(self) -> AbstractContextManager[None]:
        return told(f"journal {self.name}")
