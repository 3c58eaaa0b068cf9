"""Fixed samples: the same personas whatever the order in which they come, and whoever made them side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from heapq import heappush, heapreplace


@dataclass(frozen=True, slots=True)
class Sampled:
    """A persona of a sample."""

    persona_id: str
    text: str


class FixedSample:
    """Of the personas seen the `size` whose keys are the least. Holds no others."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, str, str]] = []  # the greatest key first
        self.seen = 0

    def see(self, key: int, persona_id: str, text: str) -> None:
        self.seen += 1
        if len(self._heap) < self._size:
            heappush(self._heap, (-key, persona_id, text))
        elif -key > self._heap[0][0]:
            heapreplace(self._heap, (-key, persona_id, text))

    def rows(self) -> list[Sampled]:
        """In the order of the keys, so that the first n are the sample of size n."""
        return [Sampled(persona_id, text) for _, persona_id, text in sorted(self._heap, reverse=True)]


def key_of(persona_id: str, seed: int) -> int:
    """A number below 2^64 that hangs on the id and the seed alone."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\x1f{persona_id}".encode(), digest_size=8).digest(), "big")
