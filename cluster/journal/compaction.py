"""Many small or wasteful segments become few whole ones: without answers paid twice, without lines that are not sound.

Runs in bounded memory, with room on the disk for what it rewrites, and is dropped or finished after a crash at any
point, by what `compaction.json` says:

    {"outputs": {…}, "sources": null}  they are being written: a crash drops them, the sources hold everything
    {"outputs": {…}, "sources": […]}   they are whole, with these sizes: after a crash the sources are removed
"""

from __future__ import annotations

import json
import logging
import secrets
from binascii import unhexlify
from collections.abc import Iterator
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.digest_map import DigestMap
from cluster.digest_runs import DIGEST
from cluster.errors import Halt
from cluster.journal.compaction_rule import Candidate, Rule, plan
from cluster.journal.index import (
    COMPACTED,
    OFFSET_BITS,
    Known,
    Segment,
    Summary,
    alone,
    bring_up,
    free_numbers,
    known_segments,
    note_of,
)
from cluster.journal.moves import Moves
from cluster.journal.places import store_at
from cluster.journal.record import KEY, is_sound
from cluster.journal.store import Store

logger = logging.getLogger(__name__)

_DOCUMENT = "compaction.json"
_BATCH_BYTES = 8 << 20


class _Stale(Exception):
    """A segment does not hold what the index says."""


def compact(place: Path, rule: Rule | None = None) -> Summary:
    """Brings the index up to the segments, first compacting them where that pays; finishes what a killed one began.

    Keeps of each key the answer that the index has, so that what was once given out stays. Segments that a process may
    still append to, and files without any sound record, are left alone. Where the disk has no room for it, the journal
    stays as it is. For the driver, before readers open the journal.
    """
    store = store_at(place)
    if not store.sizes() and not store.index.exists():
        return Summary(0, 0, 0, 0, 0, None, None)
    with alone(store):
        recover(store)
        index = DigestMap(store.index)
        summary = bring_up(store, index)
        try:
            if not _compact(store, index, rule or Rule()):
                return summary
        except Halt as halt:
            logger.warning("the journal is not compacted: %s", halt)
            recover(store)
        except _Stale as stale:
            logger.warning("journal %s: %s is damaged: the index is made again", store.name, stale)
            recover(store)
            index.clear()
        return bring_up(store, DigestMap(store.index))


def recover(store: Store) -> None:
    """Drops what a killed compaction had not finished, or finishes it. Not beside a running one."""
    store.sweep()
    content = store.read(_DOCUMENT)
    if content is None:
        return
    outputs, sources = _begun(store, content)
    if sources is None:
        store.remove(list(outputs))
    elif outputs.items() <= store.sizes().items():
        store.remove(sources)
    store.write(_DOCUMENT, None)


def _begun(store: Store, content: bytes) -> tuple[dict[str, int], list[str] | None]:
    """Outputs with their sizes, 0 as long as they are being written, and then the sources."""
    try:
        begun = json.loads(content)
        return dict(begun["outputs"]), begun["sources"]
    except (ValueError, KeyError, TypeError):
        logger.warning(
            "journal %s: %s cannot be read; what it stood for are duplicates at worst", store.name, _DOCUMENT
        )
        return {}, None


def _compact(store: Store, index: DigestMap, rule: Rule) -> bool:
    known = known_segments(index)
    groups = plan(_candidates(store, index, known), rule)
    if not groups:
        return False
    token = secrets.token_hex(6)
    names = [f"{COMPACTED}{token}-{at}.jsonl" for at in range(len(groups))]
    store.write(_DOCUMENT, json.dumps({"outputs": dict.fromkeys(names, 0), "sources": None}).encode())
    sources = [known[one.number].name for group in groups for one in group]
    store.expect(sources)
    numbers = free_numbers(known)
    with Moves(store.index) as moves:
        made: Known = {}
        for name, group in zip(names, groups, strict=True):
            number = next(numbers)
            segment = _copy(store, index, known, group, name, number, moves)
            if segment.size:
                made[number] = segment
            else:
                store.remove([name])
        sizes = {segment.name: segment.size for segment in made.values()}
        store.write(_DOCUMENT, json.dumps({"outputs": sizes, "sources": sources}).encode())
        gone = {one.number for group in groups for one in group}
        left = {number: segment for number, segment in known.items() if number not in gone}
        index.move(moves.run(), note_of(left | made))
    store.remove(sources)
    store.write(_DOCUMENT, None)
    logger.info("journal %s: %d segments were compacted into %d", store.name, len(sources), len(names))
    return True


def _candidates(store: Store, index: DigestMap, known: Known) -> list[Candidate]:
    """The closed segments with records, in ascending order of their numbers."""
    live = np.zeros(1 + max(known, default=0), np.int64)
    for values in index.values():
        live += np.bincount((values >> np.uint64(OFFSET_BITS)).astype(np.int64), minlength=len(live))
    return [
        Candidate(number, segment.size, segment.records + segment.bad, int(live[number]))
        for number, segment in sorted(known.items())
        if segment.records and not store.in_use(segment.name)
    ]


def _copy(
    store: Store, index: DigestMap, known: Known, group: list[Candidate], name: str, number: int, moves: Moves
) -> Segment:
    """Writes the lines that the index points at to a new segment. `_Stale` where one of them is not there."""
    end = records = 0
    with store.create(name) as file:
        for one in group:
            kept = 0
            for places, lines in _batches(store, one.number, known[one.number].name):
                keys = np.frombuffer(unhexlify(b"".join([line[KEY] for line in lines])), DIGEST)
                stays = index.find_all(keys) == places
                staying = list(compress(lines, stays))
                ends = end + np.cumsum([len(line) for line in staying], dtype=np.uint64)
                starts = np.concatenate([np.array([end], np.uint64), ends])[:-1]
                moves.add(places[stays], starts | np.uint64(number << OFFSET_BITS))
                file.write(b"".join(staying))
                kept += len(staying)
                end = int(ends[-1]) if len(ends) else end
            if kept != one.live:
                raise _Stale(known[one.number].name)
            records += kept
    times = [at for one in group for at in (known[one.number].first_at, known[one.number].last_at) if at is not None]
    return Segment(name, end, end, records, 0, min(times), max(times))


def _batches(store: Store, number: int, segment: str) -> Iterator[tuple[NDArray[np.uint64], list[bytes]]]:
    """The sound lines of a segment with their places, some megabytes at a time."""
    places, lines, size = list[int](), list[bytes](), 0
    for offset, line in store.lines(segment, 0):
        if is_sound(line):
            places.append(number << OFFSET_BITS | offset)
            lines.append(line)
            size += len(line)
        if size >= _BATCH_BYTES:
            yield np.array(places, np.uint64), lines
            places, lines, size = [], [], 0
    if lines:
        yield np.array(places, np.uint64), lines
