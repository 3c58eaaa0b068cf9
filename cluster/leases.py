"""How many requests and tokens of one key each caller may use, and from when: the account of one key in the fleet.

In every sliding minute, by the time of sending, no more is used than the key allows: whoever holds a lease sends within
`VALID_S` of its start, so what is leased in any `SPAN_S` bounds what is sent in any minute within. What a dead caller
held counts as used, and ages out with its lease; what a living one did not use it gives back.

Knows no Ray, no key and no endpoint, and reads no clock: `now` is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

MINUTE_S = 60.0
VALID_S = 2.0
_ON_THE_WAY_S = 0.5  # how much later than another a request may arrive that was sent at the same time
SPAN_S = MINUTE_S + VALID_S + _ON_THE_WAY_S
_AHEAD_S = 5.0  # leases are given out so long before they start, in the order in which they were asked for
_BLOCK_S = 1.0  # a lease holds about as many requests as the key allows in this time
_ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Grant:
    """Requests and tokens to be used from `after_s` seconds from now on, for `VALID_S`; with no requests, when to ask
    again."""

    number: int
    requests: int
    tokens: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Unused:
    """What of a grant was not used."""

    requests: int
    tokens: float


@dataclass(slots=True)
class _Entry:
    number: int
    start: float
    requests: int
    tokens: float


class KeyAccount:
    """What of one key is leased. Leases start one after the other, evenly, so that a minute is not used up at once."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._rates = requests_per_minute, tokens_per_minute
        self._most = max(1.0, requests_per_minute or 0.0), tokens_per_minute or 0.0
        self._log: deque[_Entry] = deque()
        self._numbers = count(1)
        self._next = self._last = float("-inf")

    def assume_used(self, now: float) -> None:
        """Begin as if the key had been used evenly and wholly for a minute by somebody who left no account, and whose
        last leases are yet to start."""
        steps = int(min(self._most[0] if self._rates[0] else 64.0, 64.0))
        for step in range(steps):
            start = now - SPAN_S * (steps - 1 - step) / steps
            self._add(start, -(-int(self._most[0]) // steps) if self._rates[0] else 0, self._most[1] / steps)
        self._next = now + _AHEAD_S

    def ask(self, requests: int, tokens_each: float, now: float) -> Grant:
        """Lease up to so many requests of `tokens_each` tokens. One of more tokens than a minute has is let through
        alone, once nothing else of that minute is leased."""
        self._forget(now)
        tokens_each = min(tokens_each, self._most[1]) if self._rates[1] else 0.0
        each_s = self._seconds(1, tokens_each)
        block = max(1, min(requests, int(_BLOCK_S / each_s) if each_s else requests))
        self._next = max(self._next, now)
        start = max(self._next, self._last)
        block, start = self._fit(block, tokens_each, start)
        if start - now > _AHEAD_S:
            return Grant(0, 0, 0.0, min(_ASK_AGAIN_S, start - now - _AHEAD_S))
        self._next = start + self._seconds(block, block * tokens_each)
        return Grant(self._add(start, block, block * tokens_each), block, block * tokens_each, start - now)

    def give_back(self, unused: Mapping[int, Unused]) -> None:
        """Take off what was not used of grants, by their numbers; of those that have aged out nothing is left."""
        for entry in self._log:
            if part := unused.get(entry.number):
                requests, tokens = min(part.requests, entry.requests), min(part.tokens, entry.tokens)
                entry.requests -= requests
                entry.tokens -= tokens
                self._next -= self._seconds(requests, tokens)

    def _seconds(self, requests: int, tokens: float) -> float:
        """The time in which the key allows so much."""
        per_minute, tokens_per_minute = self._rates
        by_requests = requests * SPAN_S / per_minute if per_minute else 0.0
        return max(by_requests, tokens * SPAN_S / tokens_per_minute if tokens_per_minute else 0.0)

    def _fit(self, block: int, tokens_each: float, start: float) -> tuple[int, float]:
        """The first time from `start` on at which a part of the block fits into every span, and how much of it."""
        requests = sum(one.requests for one in self._log if one.start > start - SPAN_S)
        tokens = sum(one.tokens for one in self._log if one.start > start - SPAN_S)
        ageing = iter([one for one in self._log if one.start > start - SPAN_S])
        while (room := self._room(requests, tokens, tokens_each, block)) < 1:
            oldest = next(ageing)
            start = oldest.start + SPAN_S
            requests -= oldest.requests
            tokens -= oldest.tokens
        return room, start

    def _room(self, requests: int, tokens: float, tokens_each: float, block: int) -> int:
        room = block
        if self._rates[0]:
            room = min(room, int(self._most[0]) - requests)
        if self._rates[1] and tokens_each:
            room = min(room, int((self._most[1] - tokens + 1e-6) / tokens_each))
        return room

    def _add(self, start: float, requests: int, tokens: float) -> int:
        number = next(self._numbers)
        self._log.append(_Entry(number, start, requests, tokens))
        self._last = max(self._last, start)
        return number

    def _forget(self, now: float) -> None:
        while self._log and self._log[0].start <= now - SPAN_S:
            self._log.popleft()
