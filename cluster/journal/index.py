"""Where each key's answer lies: an index made from the segments, brought up to them in bounded memory."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from array import array
from binascii import unhexlify
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.digest_map import DigestMap
from cluster.digest_runs import DIGEST
from cluster.files import halt_on_disk_error
from cluster.journal.places import store_at
from cluster.journal.record import KEY, is_sound, time_of
from cluster.journal.store import Store

logger = logging.getLogger(__name__)

OFFSET_BITS = 40  # of a place; the segment's number is above
COMPACTED = "compacted-"
BATCH_RECORDS = 1 << 19


@dataclass(frozen=True, slots=True)
class Summary:
    """What a journal holds: `records` are sound, of which `duplicates` were paid again; `dropped` lines are not sound.

    `dropped` counts a torn last line too. The times are the least and the greatest that sound records tell.
    """

    segments: int
    bytes: int
    records: int
    duplicates: int
    dropped: int
    first_at: float | None
    last_at: float | None


@dataclass(frozen=True, slots=True)
class Segment:
    """How far a segment is indexed: up to the last whole line, which ends at `end`, when it had `size` bytes."""

    name: str
    size: int = 0
    end: int = 0
    records: int = 0
    bad: int = 0
    first_at: float | None = None
    last_at: float | None = None


Known = dict[int, Segment]  # the segments of an index by their numbers


def index_segments(place: Path, batch_records: int = BATCH_RECORDS) -> Summary:
    """Brings the index of a journal up to its segments, in bounded memory; a killed one is carried on by the next.

    Reads only what is new since the last time. Of a key journaled twice the first answer is kept: that of a compacted
    segment, else of the one whose first record tells the least time, by name where they tell the same; and what was
    once indexed stays. So clocks may jump: they choose between two paid answers, and lose none.
    """
    store = store_at(place)
    if not store.sizes() and not store.index.exists():
        return Summary(0, 0, 0, 0, 0, None, None)
    with alone(store):
        return bring_up(store, DigestMap(store.index), batch_records)


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """One process at a time changes the index; others wait."""
    with halt_on_disk_error(f"journal {store.name}"):
        store.index.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(store.index.with_name(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        logger.warning("no lock on the index (%s): nothing keeps a second process out", os.strerror(error.errno or 0))


def bring_up(store: Store, index: DigestMap, batch_records: int = BATCH_RECORDS) -> Summary:
    """`index_segments` for who is alone already."""
    sizes = store.sizes()
    known = known_segments(index)
    if any(sizes.get(segment.name, -1) < segment.end for segment in known.values()):
        logger.warning("journal %s: an indexed segment is gone or cut: the index is made again", store.name)
        index.clear()
        known = {}
    new = sizes.keys() - {segment.name for segment in known.values()}
    in_order = sorted(new, key=lambda name: (not name.startswith(COMPACTED), store.began_at(name), name))
    known |= zip(free_numbers(known), map(Segment, in_order), strict=False)
    _index_new(store, index, known, sizes, batch_records)
    return _summary(known, len(index), sum(sizes.values()))


def known_segments(index: DigestMap) -> Known:
    """What an index says of its segments; an index of another form is cleared."""
    try:
        note = json.loads(index.note or "{}")
        return {int(number): Segment(*fields) for number, fields in note.items()}
    except (AttributeError, ValueError, TypeError):
        index.clear()
        return {}


def free_numbers(known: Known) -> Iterator[int]:
    """The numbers that no segment has, from the least on."""
    return (number for number in count() if number not in known)


def note_of(known: Known) -> str:
    """What `known_segments` reads."""
    return json.dumps({number: astuple(segment) for number, segment in known.items()})


def _index_new(store: Store, index: DigestMap, known: Known, sizes: Mapping[str, int], batch_records: int) -> None:
    """Indexes what the segments have grown by, in a run for each full batch; updates `known`."""
    batch = Batch(batch_records)
    store.expect([segment.name for segment in known.values() if sizes[segment.name] != segment.size])
    for number, segment in known.items():
        while sizes[segment.name] != segment.size:
            segment = known[number] = batch.read(store, number, segment, sizes[segment.name])
            if not batch.full:
                break
            index.add(batch.keys(), batch.places(), note_of(known))
            batch = Batch(batch_records)
    if (note := note_of(known)) != (index.note or "{}"):
        index.add(batch.keys(), batch.places(), note)


def _summary(known: Known, distinct: int, size: int) -> Summary:
    records = sum(segment.records for segment in known.values())
    times = [at for segment in known.values() for at in (segment.first_at, segment.last_at) if at is not None]
    return Summary(
        segments=len(known),
        bytes=size,
        records=records,
        duplicates=records - distinct,
        dropped=sum(segment.bad + (segment.size > segment.end) for segment in known.values()),
        first_at=min(times, default=None),
        last_at=max(times, default=None),
    )


class Batch:
    """Keys and places (segment number and offset in one integer) on their way into an index."""

    def __init__(self, records: int = BATCH_RECORDS) -> None:
        self._keys, self._places, self._records = bytearray(), array("Q"), records

    def __len__(self) -> int:
        return len(self._places)

    @property
    def full(self) -> bool:
        return len(self) >= self._records

    def keys(self) -> NDArray[np.bytes_]:
        return np.frombuffer(unhexlify(self._keys), DIGEST)

    def places(self) -> NDArray[np.uint64]:
        return np.frombuffer(self._places, np.uint64)

    def read(self, store: Store, number: int, segment: Segment, size: int) -> Segment:
        """Takes in what a segment of now `size` bytes has grown by, until the batch is full; returns how far."""
        end, bad, before = segment.end, segment.bad, len(self)
        first_at, last_at = segment.first_at, segment.last_at
        for offset, line in store.lines(segment.name, segment.end):
            if self.full:
                size = offset  # not all of it: the rest is still new
                break
            end = offset + len(line)
            if not is_sound(line):
                bad += 1
                continue
            self._keys += line[KEY]
            self._places.append(number << OFFSET_BITS | offset)
            at = time_of(line)
            first_at = at if first_at is None else min(first_at, at)
            last_at = at if last_at is None else max(last_at, at)
        records = segment.records + len(self) - before
        return Segment(segment.name, size, end, records, bad, first_at, last_at)
