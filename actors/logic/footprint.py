"""What the index of the dedup service takes up, before it is built."""

from __future__ import annotations

from dataclasses import dataclass

FLAT_ROWS = 200_000  # from there on vectors are in inverted lists
SEGMENT_ROWS = 65_536  # the latest rows of the log, which are in memory
_FORM = 32  # bytes of memory a persona, at most, for the words that are looked up
_LOGGED = 28  # bytes on disk, for an id and a form
_SIGNATURE = 128
_ROOM = 1.5  # what arrays hold for those to come, on average


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes over all shards."""

    memory: int
    disk: int


def footprint(personas: int, dimension: int = 384, shards: int = 1, minhash: bool = False) -> Footprint:
    """Of so many personas kept, with vectors of `dimension` components, at equal `shards`."""
    rows = -(-personas // shards)
    in_lists = dimension // 8 + 8
    vector = in_lists if rows >= FLAT_ROWS else 4 * dimension
    lists = 4 * int(rows**0.5) * 4 * dimension if rows >= FLAT_ROWS else 0
    logged = 2 * dimension + _LOGGED + (_SIGNATURE if minhash else 0)
    index = rows * in_lists + lists if rows >= FLAT_ROWS else 0
    latest = min(rows, SEGMENT_ROWS) * logged
    memory = int(_ROOM * (rows * (vector + _FORM) + latest)) + lists
    return Footprint(shards * memory, shards * (rows * logged + index))
