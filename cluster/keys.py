"""Which endpoint and key serve the next call. Knows no Ray and no HTTP, and reads no clock: `now` is an argument.

A lane is one key at one endpoint. Endpoints are tried in order: a later one serves only while all lanes of the earlier
ones are cooling or retired. Within an endpoint the lane with the fewest calls in flight serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


class Secret:
    """A key in memory that no repr, log line or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the Authorization header and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self._value,)


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD of one call."""
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where models answer. `roles` maps a role's name to its model; other roles use `model`.

    Limits are per key and for the whole fleet; `keys` pairs each secret with the name it goes by in messages.
    """

    name: str
    base_url: str
    model: str
    keys: Sequence[tuple[str, Secret]]
    roles: Mapping[str, str] = field(default_factory=dict)
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_concurrency: int = 256
    price: Price | None = None

    def model_for(self, role: str) -> str:
        return self.roles.get(role, self.model)


@dataclass(slots=True)
class Lane:
    """One key at one endpoint, as this caller knows it. Times are in the clock of `now`, seconds."""

    endpoint: Endpoint
    key_name: str
    secret: Secret
    limit: int
    in_flight: int = 0
    ready_at: float = 0.0
    paced_until: float = 0.0
    retired: str | None = None
    strikes: int = 0

    def free(self, now: float) -> bool:
        return self.retired is None and self.ready_at <= now and self.paced_until <= now and self.in_flight < self.limit


@dataclass(frozen=True, slots=True)
class Wait:
    """No lane can serve before `until`; None: one is awaited to be released, at no known time."""

    until: float | None


@dataclass(frozen=True, slots=True)
class Out:
    """No lane will ever serve again; says why, naming keys by their names."""

    reason: str


class Lanes:
    """The lanes of one caller, which is one of `share_of` equal callers that divide the limits between them."""

    def __init__(self, endpoints: Sequence[Endpoint], share_of: int = 1) -> None:
        self._share_of = share_of
        self.groups = [
            [
                Lane(endpoint, name, secret, max(1, endpoint.max_concurrency // share_of))
                for name, secret in endpoint.keys
            ]
            for endpoint in endpoints
        ]

    def choose(self, now: float) -> Lane | Wait | Out:
        """The lane for the next call, already counted in flight; else how long to wait; else that there is none."""
        wakes: list[float] = []
        for lanes in self.groups:
            alive = [lane for lane in lanes if lane.retired is None]
            awake = [lane for lane in alive if lane.ready_at <= now]
            if free := [lane for lane in awake if lane.free(now)]:
                lane = min(free, key=lambda lane: (lane.in_flight, lane.paced_until))
                self._take(lane, now)
                return lane
            wakes += [lane.ready_at for lane in alive if lane.ready_at > now]
            if awake:  # busy or paced, but not out: later endpoints stay in reserve
                wakes += [lane.paced_until for lane in awake if lane.paced_until > now and lane.in_flight < lane.limit]
                return Wait(min(wakes, default=None))
        if any(lane.retired is None for lanes in self.groups for lane in lanes):
            return Wait(min(wakes, default=None))
        return Out("; ".join(f"{lane.key_name}: {lane.retired}" for lanes in self.groups for lane in lanes))

    def _take(self, lane: Lane, now: float) -> None:
        lane.in_flight += 1
        if rate := lane.endpoint.requests_per_minute:
            lane.paced_until = max(lane.paced_until, now) + 60 * self._share_of / rate

    def settle(self, lane: Lane, now: float, tokens: int) -> None:
        """The call on `lane` ended with an answer of `tokens` tokens, prompt and completion."""
        lane.in_flight -= 1
        lane.strikes = 0
        if rate := lane.endpoint.tokens_per_minute:
            lane.paced_until = max(lane.paced_until, now) + 60 * self._share_of * tokens / rate

    def give_back(self, lane: Lane) -> None:
        """The call on `lane` ended without an answer."""
        lane.in_flight -= 1

    def cool(self, lane: Lane, now: float, seconds: float | None) -> float:
        """The lane rests for `seconds`, or for 1, 2, 4 … 60 s where the endpoint named no time. Returns until when."""
        if seconds is None:
            if lane.ready_at > now:  # calls that were in flight together are one strike
                return lane.ready_at
            seconds = min(60.0, 2.0 ** min(lane.strikes, 6))
            lane.strikes += 1
        lane.ready_at = max(lane.ready_at, now + seconds)
        return lane.ready_at

    def cool_endpoint(self, lane: Lane, now: float) -> float:
        """Nobody answers at the lane's endpoint: all of its lanes rest, 1 s at first, 30 s at last."""
        until = now
        for lanes in self.groups:
            for other in lanes:
                if other.endpoint is lane.endpoint:
                    seconds = min(30.0, 2.0 ** min(other.strikes, 5))
                    if other.ready_at <= now:
                        other.strikes += 1
                        other.ready_at = now + seconds
                    until = max(until, other.ready_at)
        return until

    def is_out(self, endpoint: Endpoint, now: float) -> bool:
        """Whether every lane of the endpoint is cooling or retired, so that a later one serves."""
        lanes = [lane for group in self.groups for lane in group if lane.endpoint is endpoint]
        return all(lane.retired is not None or lane.ready_at > now for lane in lanes)

    def retire(self, lane: Lane, why: str) -> None:
        """The key is dead for the rest of this caller's life."""
        lane.retired = why
