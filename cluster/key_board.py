"""What callers tell one another about keys: which rest and until when, which are dead, and which came in anew.

Knows no Ray and reads no clock: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import SystemRandom

from cluster.keys import Keys


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys by their endpoints' names; a later `generation` replaces an earlier one."""

    generation: int
    keys: Mapping[str, Keys]


@dataclass(frozen=True, slots=True)
class News:
    """What stands on the board: seconds that lanes still rest, why others are dead, and the keys if any were put in."""

    version: int
    resting: Mapping[str, float]
    retired: Mapping[str, str]
    keys: KeySet | None


@dataclass(slots=True)
class KeyBoard:
    """Lanes go by their names. `version` changes with what stands on the board, and begins at random, so that a reader
    takes no other board for the one that it knows."""

    version: int = field(default_factory=lambda: SystemRandom().getrandbits(48))
    _resting: dict[str, float] = field(default_factory=dict)
    _retired: dict[str, str] = field(default_factory=dict)
    _keys: KeySet | None = None

    def rest(self, lane: str, seconds: float, now: float) -> None:
        """The lane rests for `seconds` from now on, or longer if it was told so before."""
        if now + seconds > self._resting.get(lane, float("-inf")):
            self._resting[lane] = now + seconds
            self.version += 1

    def retire(self, lane: str, why: str) -> None:
        if lane not in self._retired:
            self._retired[lane] = why
            self.version += 1

    def put_in(self, keys: KeySet) -> None:
        """Other keys; those that were dead before may live again."""
        if self._keys is None or keys.generation > self._keys.generation:
            self._keys, self._retired = keys, {}
            self.version += 1

    def news(self, now: float) -> News:
        self._resting = {lane: until for lane, until in self._resting.items() if until > now}
        resting = {lane: until - now for lane, until in self._resting.items()}
        return News(self.version, resting, dict(self._retired), self._keys)
