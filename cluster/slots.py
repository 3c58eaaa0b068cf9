"""What one caller holds of one key's limits: the lease in use, and what of it was not used.

Times are in the caller's own clock; a lease is dated so that a slow message can only shorten it. Knows no Ray, and
reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.leases import VALID_S, Grant, Unused


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call's part of a grant."""

    grant: int
    tokens: float


@dataclass(slots=True)
class Slots:
    """Starts with nothing, so that the first call asks. `most_tokens` is what a minute has: no call asks for more."""

    most_tokens: float | None
    grant: int = 0
    requests: int = 0
    tokens: float = 0.0
    start: float = float("-inf")
    end: float = float("-inf")
    ask_after: float = float("-inf")
    unused: dict[int, Unused] = field(default_factory=dict)

    def weight(self, tokens: float) -> float:
        """What a call of so many tokens takes of the lease."""
        return min(tokens, self.most_tokens) if self.most_tokens else 0.0

    def fits(self, tokens: float, now: float) -> bool:
        return self.start <= now < self.end and self.requests > 0 and self.weight(tokens) <= self.tokens + 1e-6

    def wait(self, tokens: float, now: float) -> float | None:
        """When a call that does not fit now may be served or asked for; None: it should be asked for now."""
        if now < self.start and self.requests and self.weight(tokens) <= self.tokens + 1e-6:
            return self.start
        return self.ask_after if now < self.ask_after else None

    def take(self, tokens: float) -> Ticket:
        """A call's part, of a lease in which it `fits`."""
        self.requests -= 1
        self.tokens -= self.weight(tokens)
        return Ticket(self.grant, self.weight(tokens))

    def settle(self, ticket: Ticket, tokens: float) -> None:
        """The call used so many tokens; the rest of its part goes back."""
        self._return(ticket.grant, 0, max(0.0, ticket.tokens - tokens))

    def let_go(self) -> None:
        """What is left of the lease goes back."""
        self._return(self.grant, self.requests, self.tokens)
        self.requests, self.tokens, self.start, self.end = 0, 0.0, float("-inf"), float("-inf")

    def told(self) -> dict[int, Unused]:
        """All that goes back, to be sent once."""
        unused, self.unused = self.unused, {}
        return unused

    def receive(self, grant: Grant, asked_at: float, now: float) -> None:
        """The answer to what was asked at `asked_at`. It starts no earlier than meant, and ends no later."""
        if not grant.requests:
            self.ask_after = now + grant.after_s
            return
        self.grant, self.requests, self.tokens = grant.number, grant.requests, grant.tokens
        self.start, self.end = now + grant.after_s, asked_at + grant.after_s + VALID_S

    def _return(self, grant: int, requests: int, tokens: float) -> None:
        if requests or tokens:
            before = self.unused.get(grant, Unused(0, 0.0))
            self.unused[grant] = Unused(before.requests + requests, before.tokens + tokens)
