"""Appends answers to segments in a folder, at once."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster.errors import Halt
from cluster.files import halt_on_disk_error, sync
from cluster.journal.record import line_of

SEGMENT_BYTES = 256 << 20
_LOOK_AT_DISK_S = 1.0


def check_writer_id(writer_id: str) -> None:
    """Raises ValueError for an id that cannot begin a segment's name."""
    if not re.fullmatch(r"[\w.-]+", writer_id, re.ASCII) or writer_id.startswith("."):
        raise ValueError(f"a writer's id becomes a file name, so it cannot be {writer_id!r}")


class JournalWriter:
    """Appends answers to segments of its own; one per process, for one thread.

    When `append` returns, the record outlives its process, killed in whatever way. It outlives a power cut too once
    it is synced: at the first append (or `close`) that comes `fsync_every_s` or more after the last sync, so that a
    cut costs what was paid in about that time, plus what was appended before a pause and not yet written back by
    the kernel (some 30 s). None never syncs.
    """

    def __init__(
        self,
        folder: Path,
        writer_id: str,
        fsync_every_s: float | None = 1.0,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        check_writer_id(writer_id)
        self._folder, self._writer_id, self._number = folder, writer_id, 0
        self._fsync_every_s, self._segment_bytes = fsync_every_s, segment_bytes
        self._descriptor = -1
        self._expected, self._free, self._looked_at = 0, 0, -_LOOK_AT_DISK_S
        self._open_segment()

    @property
    def unsynced(self) -> int:
        """Bytes of this segment that a power cut could still take."""
        return self._size - self._synced

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """Holds room for an answer of about `size` bytes; Halt where the disk has none beside those on their way."""
        self._expected += size
        try:
            self._check_room(time.monotonic())
            yield
        finally:
            self._expected -= size

    def _check_room(self, now: float) -> None:
        if now - self._looked_at >= _LOOK_AT_DISK_S:
            disk = os.statvfs(self._folder)
            free = disk.f_bavail * disk.f_frsize if disk.f_blocks else sys.maxsize  # some file systems do not tell
            self._free, self._looked_at = free, now
        if self._free < self._expected:
            raise Halt(
                f"journal {self._folder}: {os.strerror(errno.ENOSPC)} for the answers on their way ({self._free:,} "
                f"bytes are free, {self._expected:,} may be needed); free some and run again"
            )

    async def append(self, key: bytes, item: str, answer: Mapping[str, object]) -> None:
        """Writes one record; raises Halt when the disk does not take it, and then leaves no part of it behind."""
        line = line_of(key, time.time(), item, answer)
        with halt_on_disk_error(f"journal {self.segment}"):
            full = self._size > 0 and self._size + len(line) > self._segment_bytes
            if self._descriptor >= 0 and (full or self._torn):
                self._close_segment()
            if self._descriptor < 0:
                self._open_segment()
            self._write(line)
            if self._fsync_every_s is not None and time.monotonic() - self._synced_at >= self._fsync_every_s:
                self._sync()

    async def close(self) -> None:
        """Syncs what is not yet; a segment that got no record is removed. May be called twice."""
        if self._descriptor >= 0:
            with halt_on_disk_error(f"journal {self.segment}"):
                self._close_segment()

    def _open_segment(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with halt_on_disk_error(f"journal {self._folder}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            while self._descriptor < 0:
                self.segment = self._folder / f"{self._writer_id}-{self._number}.jsonl"
                try:
                    self._descriptor = os.open(self.segment, flags, 0o666)
                except FileExistsError:  # of an earlier process: its end may be torn
                    self._number += 1
            with suppress(OSError):  # held as long as this process may append: compaction leaves the segment alone
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size, self._torn = 0, False
            self._synced, self._synced_at = 0, time.monotonic()
            if self._fsync_every_s is not None:
                sync(self._folder)

    def _close_segment(self) -> None:
        try:
            if self._fsync_every_s is not None:
                self._sync()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1
        if not self._size and not self._torn:
            self.segment.unlink(missing_ok=True)

    def _write(self, line: bytes) -> None:
        self._torn = True
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            with suppress(OSError):  # where not even that works, the next record goes to a new segment
                os.ftruncate(self._descriptor, self._size)
                self._torn = False
            raise
        self._torn = False
        self._size += len(line)

    def _sync(self) -> None:
        if self.unsynced:
            os.fdatasync(self._descriptor)
        self._synced, self._synced_at = self._size, time.monotonic()
