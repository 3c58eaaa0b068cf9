"""How many workers the work of the moment wants."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Demand:
    """Between `low` and `high`: one more whenever work waits and all are busy, one fewer whenever one of them had
    nothing to do for `idle_s` seconds."""

    low: int
    high: int
    idle_s: float
    idle_since: float | None = None

    def wanted(self, now: float, have: int, idle: int, waiting: int) -> int:
        """Of `have` workers that are up, `idle` have nothing to do while `waiting` pieces of work wait."""
        if not idle:
            self.idle_since = None
            return min(self.high, max(self.low, have + (waiting > 0)))
        self.idle_since = now if self.idle_since is None else self.idle_since
        if have > self.low and now - self.idle_since >= self.idle_s:
            self.idle_since = now
            return have - 1
        return max(self.low, have)
