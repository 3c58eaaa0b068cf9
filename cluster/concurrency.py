"""How many calls one lane of one caller may have in flight: doubles per round at first, then grows by steps, and halves
when the endpoint says that it is too much. Knows no Ray and no HTTP, and reads no clock."""

from __future__ import annotations

from dataclasses import dataclass

START = 8
_STEPS = 16  # after a cut, from nothing to the most in so many rounds of answers
_SLOWER = 3.0  # answers that take so much longer than the quickest did: the endpoint queues, more would not help
_SMOOTHING = 0.1
_FORGETS = 0.1  # a round: other work may take longer by itself, and is not held back by what came before for ever


@dataclass(slots=True)
class Concurrency:
    """`allowed` calls at once, never more than `most`."""

    most: int
    allowed: float
    was_cut: bool = False
    cut_at: float = float("-inf")
    latency_s: float | None = None
    quickest_s: float = float("inf")

    def answered(self, in_flight: int, latency_s: float) -> None:
        """A call was answered while so many were in flight. Grows only where the bound was felt."""
        before = self.latency_s
        self.latency_s = latency_s if before is None else before + _SMOOTHING * (latency_s - before)
        self.quickest_s = min(self.quickest_s * (1 + _FORGETS / self.allowed), self.latency_s)
        if in_flight >= self.allowed / 2 and self.latency_s <= _SLOWER * self.quickest_s + 0.1:
            step = max(1.0, self.most / _STEPS) / self.allowed if self.was_cut else 1.0
            self.allowed = min(float(self.most), self.allowed + step)

    def failed(self) -> None:
        """A call was lost for another reason: from now on it grows by steps."""
        self.was_cut = True

    def begin_again(self) -> None:
        """From low, after nobody answered for a while."""
        self.allowed, self.was_cut = min(self.allowed, float(START)), False

    def throttled(self, sent_at: float, now: float) -> None:
        """A call that was sent at `sent_at` was refused as too much. Calls sent before the last cut do not cut again:
        a storm is one cut."""
        if sent_at > self.cut_at:
            self.was_cut, self.cut_at = True, now
            self.allowed = max(1.0, self.allowed / 2)


def adaptive(most: int) -> Concurrency:
    """Starts low."""
    return Concurrency(most, float(min(START, most)))


def fixed(most: int) -> Concurrency:
    """At the most from the beginning; a throttled call still halves it where anybody says so."""
    return Concurrency(most, float(most))
