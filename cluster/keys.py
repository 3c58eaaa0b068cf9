"""Which endpoint and key serve the next call. Knows no Ray and no HTTP, and reads no clock: `now` is an argument.

A lane is one key at one endpoint. Endpoints are tried in order: a later one serves only while all lanes of the earlier
ones are cooling or retired. Within an endpoint the lane with the fewest calls in flight serves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.concurrency import Concurrency, adaptive, fixed
from cluster.slots import Slots, Ticket


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
    """USD per million tokens; `cached_input` is that of prompt tokens which the endpoint had in its cache."""

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """USD of one call, of whose prompt so many tokens were cached."""
        saved = 0.0 if self.cached_input is None else cached_tokens * (self.input - self.cached_input)
        return (prompt_tokens * self.input - saved + completion_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where models answer. `roles` maps a role's name to its model; other roles use `model`. `price` is that of
    `model`, `role_prices` are those of the others by their names; what is not known is in neither.

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
    weight: float | None = None
    batch: bool = False
    price: Price | None = None
    role_prices: Mapping[str, Price] = field(default_factory=dict)

    def model_for(self, role: str) -> str:
        return self.roles.get(role, self.model)

    def price_for(self, model: str) -> Price | None:
        return self.price if model == self.model else self.role_prices.get(model)


def lane_name(endpoint: Endpoint, key_name: str) -> str:
    """What the fleet knows a lane by."""
    return f"{endpoint.name} {key_name}"


def key_limits(endpoints: Sequence[Endpoint]) -> dict[str, tuple[float | None, float | None]]:
    """Requests and tokens per minute of every lane that has such limits, by the lane's name."""
    return {
        lane_name(one, key_name): (one.requests_per_minute, one.tokens_per_minute)
        for one in endpoints
        for key_name, _ in one.keys
        if one.requests_per_minute or one.tokens_per_minute
    }


@dataclass(slots=True)
class Lane:
    """One key at one endpoint, as this caller knows it. Times are in the clock of `now`, seconds."""

    endpoint: Endpoint
    key_name: str
    secret: Secret
    concurrency: Concurrency
    slots: Slots | None = None  # the fleet's leases, where the key has limits that callers share
    ticket: Ticket | None = None  # of the call that was let through last
    in_flight: int = 0
    ready_at: float = 0.0
    paced_until: float = 0.0
    retired: str | None = None
    strikes: int = 0

    @property
    def name(self) -> str:
        return lane_name(self.endpoint, self.key_name)

    @property
    def limit(self) -> int:
        """Calls that may be in flight at once."""
        return int(self.concurrency.allowed)

    def has_room(self, now: float) -> bool:
        return self.retired is None and self.ready_at <= now and self.in_flight < self.limit

    def free(self, now: float, tokens: float = 0.0) -> bool:
        paced = self.paced_until <= now if self.slots is None else self.slots.fits(tokens, now)
        return paced and self.has_room(now)


@dataclass(frozen=True, slots=True)
class Wait:
    """No lane can serve before `until`; None: one is awaited to be released, at no known time. `ask` are lanes that
    could serve if a lease were asked for."""

    until: float | None
    ask: tuple[Lane, ...] = ()


@dataclass(frozen=True, slots=True)
class Out:
    """No lane will ever serve again; says why, naming keys by their names."""

    reason: str


class Lanes:
    """The lanes of one caller, which is one of `share_of` equal callers that divide the limits between them.

    With `leased`, requests and tokens are not divided but leased, call by call of need. With `adapt`, the calls in
    flight begin low and find their own bound below the share of `max_concurrency`.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], share_of: int = 1, leased: bool = False, adapt: bool = False
    ) -> None:
        self._share_of, self._leased, self._adapt = share_of, leased, adapt
        self.groups = [[self._lane(endpoint, *key) for key in endpoint.keys] for endpoint in endpoints]

    def _lane(self, endpoint: Endpoint, key_name: str, secret: Secret) -> Lane:
        most = max(1, endpoint.max_concurrency // self._share_of)
        limited = endpoint.requests_per_minute or endpoint.tokens_per_minute
        slots = Slots(endpoint.tokens_per_minute) if self._leased and limited else None
        return Lane(endpoint, key_name, secret, adaptive(most) if self._adapt else fixed(most), slots)

    def choose(self, now: float, tokens: float = 0.0) -> Lane | Wait | Out:
        """The lane for the next call, of at most so many tokens, already counted in flight; else how long to wait; else
        that there is none."""
        wakes: list[float] = []
        for lanes in self.groups:
            alive = [lane for lane in lanes if lane.retired is None]
            awake = [lane for lane in alive if lane.ready_at <= now]
            if free := [lane for lane in awake if lane.free(now, tokens)]:
                lane = min(free, key=lambda lane: (lane.in_flight, lane.paced_until))
                self._take(lane, now, tokens)
                return lane
            wakes += [lane.ready_at for lane in alive if lane.ready_at > now]
            if awake:  # busy or paced, but not out: later endpoints stay in reserve
                held = [lane for lane in awake if lane.in_flight < lane.limit]
                waits = [(lane, lane.slots.wait(tokens, now)) for lane in held if lane.slots]
                wakes += [lane.paced_until for lane in held if lane.paced_until > now]
                wakes += [until for _, until in waits if until is not None]
                return Wait(min(wakes, default=None), tuple(lane for lane, until in waits if until is None))
        if any(lane.retired is None for lanes in self.groups for lane in lanes):
            return Wait(min(wakes, default=None))
        return Out("; ".join(f"{lane.key_name}: {lane.retired}" for lanes in self.groups for lane in lanes))

    def _take(self, lane: Lane, now: float, tokens: float) -> None:
        lane.in_flight += 1
        if lane.slots:
            lane.ticket = lane.slots.take(tokens)
        elif rate := lane.endpoint.requests_per_minute:
            lane.paced_until = max(lane.paced_until, now) + 60 * self._share_of / rate

    def settle(
        self, lane: Lane, now: float, tokens: int, ticket: Ticket | None = None, sent_at: float | None = None
    ) -> None:
        """The call on `lane` ended with an answer of `tokens` tokens, prompt and completion."""
        if self._adapt and sent_at is not None:
            lane.concurrency.answered(lane.in_flight, now - sent_at)
        lane.in_flight -= 1
        lane.strikes = 0
        if lane.slots and ticket:
            lane.slots.settle(ticket, tokens)
        elif rate := lane.endpoint.tokens_per_minute:
            lane.paced_until = max(lane.paced_until, now) + 60 * self._share_of * tokens / rate

    def give_back(self, lane: Lane, ticket: Ticket | None = None) -> None:
        """The call on `lane` ended without an answer; with its ticket, also without having used tokens."""
        lane.in_flight -= 1
        if lane.slots and ticket:
            lane.slots.settle(ticket, 0.0)

    def cool(self, lane: Lane, now: float, seconds: float | None, sent_at: float | None = None) -> float:
        """The lane rests for `seconds`, or for 1, 2, 4 … 60 s where the endpoint named no time. Returns until when."""
        if self._adapt and sent_at is not None:
            lane.concurrency.throttled(sent_at, now)
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
