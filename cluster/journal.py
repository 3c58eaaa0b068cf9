"""Every paid answer, on the disk before anyone parses it, and found again by the call that it answered.

Owns the record, its segments and their index; knows no model, prompt or price: a request is a mapping, an answer
another. Used in this order: the driver calls `index_segments` once, under the run's lock; then each caller opens one
`JournalReader` over what earlier runs paid, and one `JournalWriter` for what it pays itself.

    journal/<writer id>-<n>.jsonl    segments: written by one process, never appended to by another
    journal/index/                   key → segment and offset; made from the segments, may be deleted at any time

A segment has one JSON object a line, with its fields in this order and without spaces:

    v        1, the version of the format
    key      32 hex digits: `call_key` of the request and the item
    at       Unix seconds when the answer was journaled
    item     what was asked for, for people and tools
    answer   the answer as a *string* of JSON: whatever shapes answers take, the column stays one of strings
    crc      8 hex digits: CRC-32 of the line's bytes up to `,"crc":`

`pyarrow.json.read_json` reads a segment (records over 1 MiB want a larger `ReadOptions(block_size)`), except where a
power cut tore its last line; `read_records` leaves out that and any other line whose crc is wrong.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from array import array
from binascii import unhexlify
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from hashlib import blake2b
from json.encoder import encode_basestring as quoted
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from cluster.digest_index import DIGEST, DigestMap
from cluster.files import halt_on_disk_error, sync

logger = logging.getLogger(__name__)

KEY_BYTES = 16
SEGMENT_BYTES = 256 << 20
_HEAD = b'{"v":1,"key":"'
_KEY = slice(len(_HEAD), len(_HEAD) + 2 * KEY_BYTES)
_AT = _KEY.stop + len(b'","at":')
_CRC = b',"crc":"%08x"}\n'
_CRC_BYTES = len(_CRC % 0)
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_canonical = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode


def call_key(request: Mapping[str, object], item: str) -> bytes:
    """16 bytes that name one call: the request in canonical JSON and the item it is for, whatever the keys' order."""
    return blake2b(f"{_canonical(request)}\n{item}".encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """One paid answer."""

    key: bytes
    at: float
    item: str
    answer: dict[str, object]


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
        if not re.fullmatch(r"[\w.-]+", writer_id, re.ASCII) or writer_id.startswith("."):
            raise ValueError(f"a writer's id becomes a file name, so it cannot be {writer_id!r}")
        self._folder, self._writer_id, self._number = folder, writer_id, 0
        self._fsync_every_s, self._segment_bytes = fsync_every_s, segment_bytes
        self._descriptor = -1
        self._open_segment()

    @property
    def unsynced(self) -> int:
        """Bytes of this segment that a power cut could still take."""
        return self._size - self._synced

    def append(self, key: bytes, item: str, answer: Mapping[str, object]) -> None:
        """Writes one record; raises Halt when the disk does not take it, and then leaves no part of it behind."""
        line = _line(key, time.time(), item, answer)
        with halt_on_disk_error(f"journal {self.segment}"):
            full = self._size > 0 and self._size + len(line) > self._segment_bytes
            if self._descriptor >= 0 and (full or self._torn):
                self._close_segment()
            if self._descriptor < 0:
                self._open_segment()
            self._write(line)
            if self._fsync_every_s is not None and time.monotonic() - self._synced_at >= self._fsync_every_s:
                self._sync()

    def close(self) -> None:
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


def _line(key: bytes, at: float, item: str, answer: Mapping[str, object]) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, got {len(key)}")
    text = _compact(answer)
    try:
        body = _body(key, at, item, text)
    except UnicodeEncodeError:  # half a surrogate pair; as its JSON escape it comes back the same and pyarrow reads it
        body = _body(key, at, _escaped(item), _escaped(text))
    return body + _CRC % crc32(body)


def _body(key: bytes, at: float, item: str, text: str) -> bytes:
    return f'{{"v":1,"key":"{key.hex()}","at":{at:.3f},"item":{quoted(item)},"answer":{quoted(text)}'.encode()


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _is_sound(line: bytes) -> bool:
    body = line[:-_CRC_BYTES]
    return body.startswith(_HEAD) and line[-_CRC_BYTES:] == _CRC % crc32(body)


def _time(line: bytes) -> float:
    return float(line[_AT : line.index(b",", _AT)])


def _record(line: bytes) -> Record:
    fields = json.loads(line)
    return Record(bytes.fromhex(fields["key"]), fields["at"], fields["item"], json.loads(fields["answer"]))


def segments(folder: Path) -> list[Path]:
    """The segments of a journal, by name."""
    return sorted(folder.glob("*.jsonl"))


def read_records(segment: Path) -> Iterator[Record]:
    """The sound records of a segment in the order in which they were paid, duplicates included."""
    for _, line in _lines(segment, 0):
        if _is_sound(line):
            yield _record(line)


def _lines(segment: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """Offset and content of the whole lines from `start` on; not of a last one without its end."""
    with segment.open("rb", buffering=1 << 20) as file:
        file.seek(start)
        for line in file:
            if line.endswith(b"\n"):
                yield start, line
            start += len(line)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a journal holds: `records` are sound, of which `duplicates` were paid again; `dropped` lines are not sound.

    `dropped` counts a torn last line too. The times are those of the first and the last sound record.
    """

    segments: int
    bytes: int
    records: int
    duplicates: int
    dropped: int
    first_at: float | None
    last_at: float | None


def index_segments(folder: Path) -> Summary:
    """Brings the index of a journal up to its segments, in bounded memory; a killed one is carried on by the next.

    Reads only what is new since the last time. Of a key journaled twice the first answer is kept: that of the segment
    that began first, and what was once indexed stays. For one process at a time, before the run's callers start.
    """
    sizes = {path.name: path.stat().st_size for path in segments(folder)}
    if not sizes and not (folder / _INDEX_FOLDER).exists():
        return Summary(0, 0, 0, 0, 0, None, None)
    with halt_on_disk_error(f"journal {folder}"):
        index = DigestMap(folder / _INDEX_FOLDER)
        known = _known(index)
        if any(sizes.get(segment.name, -1) < segment.end for segment in known):
            logger.warning("journal %s: an indexed segment is gone or cut: the index is made again", folder)
            index.clear()
            known = []
        new = sorted(sizes.keys() - {segment.name for segment in known}, key=lambda name: _began_at(folder / name))
        known += map(_Segment, new)
        _index_new(index, folder, known, sizes)
        return _summary(known, len(index), sum(sizes.values()))


_INDEX_FOLDER = "index"
_OFFSET_BITS = 40  # of a place; the segment's number is above
_BATCH_RECORDS = 1 << 19
_OPEN_SEGMENTS = 256


@dataclass(frozen=True, slots=True)
class _Segment:
    """How far a segment is indexed: up to the last whole line, which ends at `end`, when it had `size` bytes."""

    name: str
    size: int = 0
    end: int = 0
    records: int = 0
    bad: int = 0
    first_at: float | None = None
    last_at: float | None = None


def _known(index: DigestMap) -> list[_Segment]:
    return [_Segment(*fields) for fields in json.loads(index.note or "[]")]


def _began_at(segment: Path) -> tuple[float, str]:
    at = next((_time(line) for _, line in _lines(segment, 0) if _is_sound(line)), float("inf"))
    return at, segment.name


def _index_new(index: DigestMap, folder: Path, known: list[_Segment], sizes: Mapping[str, int]) -> None:
    """Indexes what the segments have grown by, in a run for each full batch; updates `known`."""
    batch = _Batch()
    for number, segment in enumerate(known):
        while sizes[segment.name] != segment.size:
            segment = known[number] = batch.read(folder, number, segment)
            if len(batch) < _BATCH_RECORDS:
                break
            index.add(batch.keys(), batch.places(), _note(known))
            batch = _Batch()
    if (note := _note(known)) != (index.note or "[]"):
        index.add(batch.keys(), batch.places(), note)


def _note(known: list[_Segment]) -> str:
    return json.dumps([astuple(segment) for segment in known])


def _summary(known: list[_Segment], distinct: int, size: int) -> Summary:
    records = sum(segment.records for segment in known)
    return Summary(
        segments=len(known),
        bytes=size,
        records=records,
        duplicates=records - distinct,
        dropped=sum(segment.bad + (segment.size > segment.end) for segment in known),
        first_at=min((segment.first_at for segment in known if segment.first_at is not None), default=None),
        last_at=max((segment.last_at for segment in known if segment.last_at is not None), default=None),
    )


class _Batch:
    """Keys and places (segment number and offset in one integer) on their way into an index."""

    def __init__(self) -> None:
        self._keys, self._places = bytearray(), array("Q")

    def __len__(self) -> int:
        return len(self._places)

    def keys(self) -> NDArray[np.bytes_]:
        return np.frombuffer(unhexlify(self._keys), DIGEST)

    def places(self) -> NDArray[np.uint64]:
        return np.frombuffer(self._places, np.uint64)

    def read(self, folder: Path, number: int, segment: _Segment) -> _Segment:
        """Takes in what a segment has grown by, until the batch is full; returns how far that was."""
        path = folder / segment.name
        size, end, bad, before = path.stat().st_size, segment.end, segment.bad, len(self)
        first_at, last_at = segment.first_at, segment.last_at
        for offset, line in _lines(path, segment.end):
            if len(self) >= _BATCH_RECORDS:
                size = offset  # not all of it: the rest is still new
                break
            end = offset + len(line)
            if not _is_sound(line):
                bad += 1
                continue
            self._keys += line[_KEY]
            self._places.append(number << _OFFSET_BITS | offset)
            last_at = _time(line)
            first_at = last_at if first_at is None else first_at
        records = segment.records + len(self) - before
        return _Segment(segment.name, size, end, records, bad, first_at, last_at)


class JournalReader:
    """Looks up what is paid already: what the last `index_segments` saw, and what `catch_up` added.

    Maps the index and opens segments as they are asked for, all read-only: any number of processes may read at once,
    each one with one thread. A journal that is empty or missing holds nothing and costs nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._index = folder, DigestMap(folder / _INDEX_FOLDER)
        self._known = _known(self._index)
        self._open: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._index)

    def get(self, key: bytes) -> dict[str, object] | None:
        """The first answer that was journaled under `key`, checked against its crc; None: not paid yet."""
        place = self._index.find(key)
        if place is None:
            return None
        number, offset = place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1)
        line = self._line(number, offset)
        if not _is_sound(line) or line[_KEY] != key.hex().encode():
            name = self._known[number].name
            logger.warning("journal %s: the record at byte %d of %s is damaged or gone", self._folder, offset, name)
            return None
        return _record(line).answer

    def catch_up(self) -> int:
        """Adds what all writers have journaled since, so that the work of a process that died is not paid again.

        Reads the new bytes (about a second for 256 MiB) and holds 24 bytes per record in memory; returns how many keys
        are new. May run in a thread beside `get`.
        """
        before, numbers = len(self), {segment.name: number for number, segment in enumerate(self._known)}
        for path in segments(self._folder):
            if path.name not in numbers:
                numbers[path.name] = len(self._known)
                self._known.append(_Segment(path.name))
            self._catch_up(numbers[path.name])
        return len(self) - before

    def close(self) -> None:
        """Closes the segments; the reader can still be asked, and then opens them again."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _catch_up(self, number: int) -> None:
        full = True
        while full:
            batch = _Batch()
            self._known[number] = batch.read(self._folder, number, self._known[number])
            self._index.hold(batch.keys(), batch.places())
            full = len(batch) >= _BATCH_RECORDS

    def _line(self, number: int, offset: int) -> bytes:
        """The line at `offset`, or what there is of it."""
        try:
            descriptor = self._descriptor(number)
        except FileNotFoundError:
            return b""
        size, line = 1 << 12, os.pread(descriptor, 1 << 12, offset)
        while b"\n" not in line and len(line) == size:
            size *= 4
            line = os.pread(descriptor, size, offset)
        return line[: line.find(b"\n") + 1]

    def _descriptor(self, number: int) -> int:
        if number not in self._open:
            if len(self._open) >= _OPEN_SEGMENTS:
                self.close()
            path = self._folder / self._known[number].name
            self._open[number] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return self._open[number]
