"""A journal in an object store: segments are put whole, never changed, and read by pieces."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from pyarrow.fs import FileSelector

from cluster.errors import Halt
from cluster.journal.address import cache_of, file_system, shown
from cluster.journal.ahead import Ahead
from cluster.retry import backoff_s

T = TypeVar("T")

PATIENCE_S = 120.0
_START_PATIENCE_S = 15.0
_PIECE = 4 << 20  # what is read in one go of a segment that is read through
_BLOCK = 1 << 20  # what is read around one record, and kept; most segments are one
_BLOCKS = 64
_WIDTH = 16  # requests at the same time
_BEGAN = re.compile(r"(\d{13})-")


class Bucket:
    """Segments as objects. What fails is tried again for `patience_s` seconds, and then a `Halt`."""

    def __init__(self, url: str, index: Path | None = None, patience_s: float = PATIENCE_S) -> None:
        self._system, path = file_system(url)
        self._path, self._patience_s = path.rstrip("/"), patience_s
        self.name, self.index = shown(url), index or cache_of(url)
        self._ahead: Ahead | None = None
        self._blocks: dict[tuple[str, int], asyncio.Task[bytes]] = {}

    def sizes(self) -> dict[str, int]:
        selector = FileSelector(self._path, allow_not_found=True)
        found = self._tried(lambda: self._system.get_file_info(selector))
        return {info.base_name: info.size for info in found if info.is_file and info.base_name.endswith(".jsonl")}

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
        try:
            with self._system.open_output_stream(f"{self._path}/{segment}") as stream:
                yield cast(BinaryIO, stream)
        except OSError as error:
            raise self._halt(error) from error

    def put(self, name: str, content: bytes) -> None:
        """An object, whole or not at all; again with the same content it changes nothing."""

        def write() -> None:
            with self._system.open_output_stream(f"{self._path}/{name}") as stream:
                stream.write(content)

        try:
            self._tried(write)
        except FileNotFoundError as error:
            raise self._halt(error) from error

    def remove(self, segments: list[str]) -> None:
        def delete(segment: str) -> None:
            try:
                self._tried(lambda: self._system.delete_file(f"{self._path}/{segment}"))
            except FileNotFoundError:
                return

        with ThreadPoolExecutor(_WIDTH) as pool:
            list(pool.map(delete, segments))

    def sweep(self) -> None:
        """An object that was not put whole is not there."""

    def probe(self) -> None:
        patience, self._patience_s = self._patience_s, min(self._patience_s, _START_PATIENCE_S)
        try:
            self.put("probe", b"")
            self.remove(["probe"])
        finally:
            self._patience_s = patience

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
        def read() -> bytes:
            with self._system.open_input_file(f"{self._path}/{name}") as file:
                length_left = min(length, file.size() - start)
                return bytes(file.read_at(length_left, start)) if length_left > 0 else b""

        return self._tried(read)

    def _tried(self, operation: Callable[[], T]) -> T:
        tries, until = 0, time.monotonic() + self._patience_s
        while True:
            try:
                return operation()
            except FileNotFoundError:
                raise
            except OSError as error:
                tries += 1
                wait = backoff_s(tries, random.random(), cap_s=10.0)
                if time.monotonic() + wait > until:
                    raise self._halt(error) from error
            time.sleep(wait)

    def _halt(self, error: OSError) -> Halt:
        return Halt(
            f"journal {self.name}: {_reason(error)}; check its address, the rights and the network, and run again"
        )


def _reason(error: OSError) -> str:
    return " ".join(str(error).split())[:300]
