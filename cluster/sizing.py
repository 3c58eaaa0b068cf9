"""How many caller processes the work of the moment is worth. Knows no Ray, and reads no clock: `now` is an argument.

A caller drives so many calls in flight. How many there can be follows from the queue, and from what the keys allow:
by their concurrency, or, by Little's law (1961), by calls per second times the seconds that each takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.keys import Endpoint

QUEUE, CONCURRENCY, REQUESTS, TOKENS, MOST = "queue", "max_concurrency", "requests", "tokens", "cluster.callers.max"
_KEYS = (CONCURRENCY, REQUESTS, TOKENS)
_WINDOW_S = 30.0  # over which the pace is measured


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the keys of a fleet allow altogether; None where there is no limit."""

    in_flight: int
    requests_per_s: float | None = None
    tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """What a call takes at the moment; None before the first was answered."""

    seconds: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """So many callers, and what keeps it from being more."""

    callers: int
    bound: str

    @property
    def told(self) -> str:
        """For people; empty where there is nothing to say."""
        if self.bound in _KEYS:
            return f"{self.callers}; the keys' {self.bound} are the bound, more callers would not help"
        return f"{self.callers}; more would help, cluster.callers.max is the bound" if self.bound == MOST else ""


@dataclass(frozen=True, slots=True)
class Bounds:
    """From `low` to `high` callers of `each` calls in flight; one goes when it was not needed for `idle_s` seconds."""

    low: int
    high: int
    each: int
    idle_s: float


def allowed(endpoints: Sequence[Endpoint]) -> Allowed:
    """By all keys together. A limit holds where every endpoint has it."""
    in_flight = sum(one.max_concurrency * len(one.keys) for one in endpoints)
    return Allowed(
        in_flight,
        _per_second([(one.requests_per_minute, len(one.keys)) for one in endpoints]),
        _per_second([(one.tokens_per_minute, len(one.keys)) for one in endpoints]),
    )


def _per_second(limits: Sequence[tuple[float | None, int]]) -> float | None:
    known = [limit * keys / 60 for limit, keys in limits if limit is not None]
    return sum(known) if known and len(known) == len(limits) else None


def size(queue: int, keys: Allowed, pace: Pace, bounds: Bounds) -> Size:
    """Callers for `queue` programs that wait or run."""
    in_flight: dict[str, float] = {QUEUE: queue, CONCURRENCY: keys.in_flight}
    if pace.seconds is not None:
        if keys.requests_per_s is not None:
            in_flight[REQUESTS] = keys.requests_per_s * pace.seconds
        if keys.tokens_per_s is not None and pace.tokens:
            in_flight[TOKENS] = keys.tokens_per_s / pace.tokens * pace.seconds
    bound = min(in_flight, key=lambda name: in_flight[name])
    wanted = math.ceil(in_flight[bound] / bounds.each)
    if wanted > bounds.high:
        return Size(bounds.high, MOST)
    return Size(max(bounds.low, wanted), bound)


@dataclass(slots=True)
class Crowd:
    """Grows at once to what is wanted, and shrinks one by one, each after `idle_s` seconds in which it was too many."""

    keys: Allowed
    bounds: Bounds
    spare_since: float | None = None

    def wanted(self, now: float, have: int, queue: int, pace: Pace) -> Size:
        found = size(queue, self.keys, pace, self.bounds)
        if found.callers >= have:
            self.spare_since = None
            return found
        self.spare_since = now if self.spare_since is None else self.spare_since
        if now - self.spare_since < self.bounds.idle_s:
            return Size(have, found.bound)
        self.spare_since = now
        return Size(have - 1, found.bound)


class PaceMeter:
    """The pace of the last while, from totals that only grow: calls, seconds on the wire, and tokens."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float, float, float]] = []

    def pace(self, now: float, calls: float, seconds: float, tokens: float) -> Pace:
        if self._seen and calls < self._seen[-1][1]:  # the meter was restarted
            self._seen = []
        self._seen.append((now, calls, seconds, tokens))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_S:
            self._seen.pop(0)
        _, calls_before, seconds_before, tokens_before = self._seen[0]
        if calls <= calls_before:
            return Pace()
        return Pace(
            (seconds - seconds_before) / (calls - calls_before), (tokens - tokens_before) / (calls - calls_before)
        )
