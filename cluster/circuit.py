"""Whether an endpoint is asked at all: a circuit breaker (Nygard, Release It!, 2007).

Closed while the endpoint answers. Open for a while after it has answered nobody; then a single call is let through as
a probe, which closes it or opens it again for twice as long. Knows no Ray and no HTTP, and reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

TRIPS_AT = 10
"""Lost attempts in a row, from which on it is the endpoint and not the items."""

_LONGEST_S = 30.0


@dataclass(slots=True)
class Circuit:
    """One endpoint's, as one caller knows it. Times are in the clock of `now`, seconds."""

    lost: int = 0  # attempts in a row
    rests: int = 0  # in a row; 0: closed
    until: float = float("-inf")
    probing: bool = False

    def lets_through(self, now: float) -> bool:
        return not self.rests or (self.until <= now and not self.probing)

    def enter(self) -> bool:
        """A call is let through; returns whether it is the probe."""
        self.probing = self.rests > 0
        return self.probing

    def leave(self, probe: bool) -> None:
        """A call ended that says nothing about the endpoint, such as a cancelled one."""
        if probe:
            self.probing = False

    def answered(self) -> bool:
        """The endpoint answered something, be it a refusal. Returns whether this closed the circuit."""
        was_open = self.rests > 0
        self.lost, self.rests, self.probing = 0, 0, False
        return was_open

    def failed(self, now: float, probe: bool, gone: bool = False, rest_s: float | None = None) -> bool:
        """An attempt was lost; `gone` where nobody was there, `rest_s` where the endpoint asks to be left alone.

        Returns whether the endpoint is to blame: the circuit was open already, or opened by this.
        """
        self.leave(probe)
        self.lost += 1
        if self.rests and not probe:  # sent before the circuit opened
            return True
        if not (self.rests or gone or rest_s is not None or self.lost >= TRIPS_AT):
            return False
        self.until = now + (min(_LONGEST_S, 2.0**self.rests) if rest_s is None else rest_s)
        self.rests = min(self.rests + 1, 10)
        return True
