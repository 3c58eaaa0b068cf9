"""A journal in a local or shared folder."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cluster.errors import UserError
from cluster.files import atomic_path, halt_on_disk_error, sync, write_atomically
from cluster.journal.record import is_sound, time_of

_OPEN_SEGMENTS = 256


class Folder:
    """Segments as files. What is read often stays open, up to `open_segments` of them."""

    def __init__(self, path: Path, open_segments: int = _OPEN_SEGMENTS) -> None:
        self._path, self._open_segments = path, open_segments
        self._open: dict[str, int] = {}

    @property
    def name(self) -> str:
        return str(self._path)

    @property
    def index(self) -> Path:
        return self._path / "index"

    def sizes(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in self._path.glob("*.jsonl")}

    def began_at(self, segment: str) -> float:
        return next((time_of(line) for _, line in self.lines(segment, 0) if is_sound(line)), float("inf"))

    def expect(self, segments: list[str]) -> None:
        """The kernel reads ahead by itself."""

    def lines(self, segment: str, start: int) -> Iterator[tuple[int, bytes]]:
        with (self._path / segment).open("rb", buffering=1 << 20) as file:
            file.seek(start)
            for line in file:
                if line.endswith(b"\n"):
                    yield start, line
                start += len(line)

    async def line(self, segment: str, offset: int) -> bytes:
        try:
            descriptor = self._descriptor(segment)
        except FileNotFoundError:
            return b""
        size, line = 1 << 12, os.pread(descriptor, 1 << 12, offset)
        while b"\n" not in line and len(line) == size:
            size *= 4
            line = os.pread(descriptor, size, offset)
        return line[: line.find(b"\n") + 1]

    def _descriptor(self, segment: str) -> int:
        if segment not in self._open:
            if len(self._open) >= self._open_segments:
                self.close()
            self._open[segment] = os.open(self._path / segment, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[segment]

    def in_use(self, segment: str) -> bool:
        """A writer holds a lock; where the file system has none, nobody can tell, and the segment counts as in use."""
        descriptor = os.open(self._path / segment, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    @contextmanager
    def create(self, segment: str) -> Iterator[BinaryIO]:
        with atomic_path(self._path / segment) as path, path.open("wb", buffering=1 << 20) as file:
            yield file

    def remove(self, segments: list[str]) -> None:
        with halt_on_disk_error(f"journal {self._path}"):
            for segment in segments:
                (self._path / segment).unlink(missing_ok=True)
            sync(self._path)

    def sweep(self) -> None:
        for path in self._path.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def probe(self) -> None:
        with halt_on_disk_error(f"journal {self._path}"):
            try:
                self._path.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise UserError(f"journal {self._path} is no folder; move it away or choose another run_dir") from None
            with tempfile.TemporaryFile(dir=self._path) as file:
                file.write(bytes(1 << 12))

    def read(self, document: str) -> bytes | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self._path / document).read_bytes()
        return None

    def write(self, document: str, content: bytes | None) -> None:
        if content is None:
            self.remove([document])
        else:
            write_atomically(self._path / document, content)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])
