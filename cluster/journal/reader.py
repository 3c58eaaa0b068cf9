"""Looks up what is paid already."""

from __future__ import annotations

import logging
from pathlib import Path

from cluster.digest_map import DigestMap
from cluster.journal.index import OFFSET_BITS, Batch, Segment, alone, bring_up, free_numbers, known_segments
from cluster.journal.places import store_at
from cluster.journal.record import KEY, is_sound, record_of
from cluster.journal.store import Store
from cluster.object_path import ObjectPath

logger = logging.getLogger(__name__)


class JournalReader:
    """What the last `index_segments` saw, and what `catch_up` added.

    Maps the index and reads segments as they are asked for: any number of processes may read at once, each one with
    one thread. A journal that is empty or missing holds nothing and costs nothing. Of an object store the node's own
    index is first brought up to the segments.
    """

    def __init__(self, place: Path) -> None:
        self._store = store_at(place)
        self._index = _own_index(self._store) if isinstance(place, ObjectPath) else DigestMap(self._store.index)
        self._known = known_segments(self._index)

    def __len__(self) -> int:
        return len(self._index)

    async def get(self, key: bytes) -> dict[str, object] | None:
        """The first answer that was journaled under `key`, checked against its crc; None: not paid yet."""
        place = self._index.find(key)
        if place is None:
            return None
        segment, offset = self._known[place >> OFFSET_BITS].name, place & ((1 << OFFSET_BITS) - 1)
        line = await self._store.line(segment, offset)
        if not is_sound(line) or line[KEY] != key.hex().encode():
            name = self._store.name
            logger.warning("journal %s: the record at byte %d of %s is damaged or gone", name, offset, segment)
            return None
        return record_of(line).answer

    def catch_up(self) -> int:
        """Adds what all writers have journaled since, so that the work of a process that died is not paid again.

        Reads the new bytes (about a second for 256 MiB) in bounded memory; returns how many keys are new. May run in a
        thread beside `get`.
        """
        before, sizes = len(self), self._store.sizes()
        new = sorted(sizes.keys() - {segment.name for segment in self._known.values()})
        self._known |= dict(zip(free_numbers(self._known), map(Segment, new), strict=False))
        grown = [number for number, segment in self._known.items() if sizes.get(segment.name, 0) > segment.end]
        self._store.expect([self._known[number].name for number in grown])
        for number in grown:
            self._catch_up(number)
        return len(self) - before

    def close(self) -> None:
        """Gives back what reading holds; the reader can still be asked."""
        self._store.close()

    def _catch_up(self, number: int) -> None:
        full = True
        while full:
            batch = Batch()
            reached = batch.read(self._store, number, self._known[number], size=0)
            self._index.hold(batch.keys(), batch.places())
            self._known[number] = reached
            full = batch.full


def _own_index(store: Store) -> DigestMap:
    """The node's index; nobody replaces its files while they are opened."""
    with alone(store):
        index = DigestMap(store.index)
        bring_up(store, index)
        return index
