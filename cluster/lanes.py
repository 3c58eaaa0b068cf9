"""Which endpoint and key serve the next call. Knows no Ray and no HTTP, and reads no clock: `now` is an argument.

A lane is one key at one endpoint. Endpoints are tried in order, and a later one serves only while the earlier ones are
out: their keys cooling or retired, or their circuits open. Endpoints in a row that have weights stand in one tier and
share its calls by them. Within an endpoint the lane with the fewest calls in flight serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.circuit import Circuit
from cluster.concurrency import Concurrency, adaptive, fixed
from cluster.keys import Endpoint, Keys, Secret, lane_name
from cluster.slots import Slots, Ticket


@dataclass(slots=True, eq=False)
class Lane:
    """One key at one endpoint, as this caller knows it. Times are in the clock of `now`, seconds."""

    endpoint: Endpoint
    key_name: str
    secret: Secret
    concurrency: Concurrency
    circuit: Circuit
    slots: Slots | None = None  # the fleet's leases, where the key has limits
    in_flight: int = 0
    ready_at: float = 0.0
    retired: str | None = None
    strikes: int = 0

    @property
    def name(self) -> str:
        return lane_name(self.endpoint, self.key_name)

    @property
    def limit(self) -> int:
        """Calls that may be in flight at once."""
        return int(self.concurrency.allowed)

    def is_free(self, now: float, tokens: float) -> bool:
        """Whether a lane that is awake can take one more call, of at most so many tokens."""
        return self.in_flight < self.limit and (self.slots is None or self.slots.fits(tokens, now))


@dataclass(frozen=True, slots=True)
class Permit:
    """One call's place on a lane, from `at` on. A probe's answer decides whether its endpoint is asked again."""

    lane: Lane
    ticket: Ticket | None
    at: float
    probe: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """No lane can serve before `until`; None: one is awaited to be released, at no known time. `ask` are lanes that
    could serve if a lease were asked for. `resting`: none is even at work."""

    until: float | None
    ask: tuple[Lane, ...] = ()
    resting: bool = False


@dataclass(frozen=True, slots=True)
class Out:
    """No lane will ever serve again, unless other keys are put in; says why, naming keys by their names."""

    reason: str


@dataclass(slots=True, eq=False)
class _Site:
    """An endpoint with its lanes, those of retired keys included. `served` counts calls by the inverse of its weight
    (stride scheduling: Waldspurger & Weihl 1995)."""

    endpoint: Endpoint
    circuit: Circuit
    lanes: list[Lane] = field(default_factory=list)
    served: float = 0.0

    def awake(self, now: float) -> list[Lane]:
        if not self.circuit.lets_through(now):
            return []
        return [lane for lane in self.lanes if lane.retired is None and lane.ready_at <= now]

    def wakes(self, now: float) -> Iterator[float]:
        """When lanes that are not awake will be."""
        opens = self.circuit.until if self.circuit.rests else now
        for lane in self.lanes:
            if lane.retired is None and max(lane.ready_at, opens) > now:
                yield max(lane.ready_at, opens)


class Lanes:
    """The lanes of one caller, which is one of `share_of` equal callers that divide the calls in flight between them.

    With `adapt`, the calls in flight begin low and find their own bound below the share of `max_concurrency`.
    """

    def __init__(self, endpoints: Sequence[Endpoint], share_of: int = 1, adapt: bool = False) -> None:
        self._share_of, self._adapt, self._generation = share_of, adapt, 0
        self._served = 0.0
        self._tiers: list[list[_Site]] = []
        for endpoint in endpoints:
            site = _Site(endpoint, Circuit())
            site.lanes = [self._lane(site, *key) for key in endpoint.keys]
            if endpoint.weight and self._tiers and self._tiers[-1][-1].endpoint.weight:
                self._tiers[-1].append(site)
            else:
                self._tiers.append([site])
        self._sites = [site for tier in self._tiers for site in tier]

    @property
    def rotate(self) -> bool:
        """Whether other keys may come."""
        return any(site.endpoint.rotates for site in self._sites)

    def __iter__(self) -> Iterator[Lane]:
        return (lane for site in self._sites for lane in site.lanes)

    def _lane(self, site: _Site, key_name: str, secret: Secret) -> Lane:
        endpoint = site.endpoint
        most = max(1, endpoint.max_concurrency // self._share_of)
        slots = (
            Slots(endpoint.tokens_per_minute) if endpoint.requests_per_minute or endpoint.tokens_per_minute else None
        )
        concurrency = adaptive(most) if self._adapt else fixed(most)
        return Lane(endpoint, key_name, secret, concurrency, site.circuit, slots)

    def choose(self, now: float, tokens: float = 0.0, lost_on: Sequence[Lane] = ()) -> Permit | Wait | Out:
        """A place for the next call, of at most so many tokens, already counted in flight; else how long to wait; else
        that there is none. `lost_on` are the lanes on which attempts of this call were lost: others are preferred."""
        wakes: list[float] = []
        for tier in self._in_order(lost_on):
            awake = [(site, site.awake(now)) for site in tier]
            free = [(site, [lane for lane in lanes if lane.is_free(now, tokens)]) for site, lanes in awake]
            if able := [one for one in free if one[1]]:
                return self._take(*min(able, key=lambda one: one[0].served), now, tokens, lost_on)
            wakes += [at for site in tier for at in site.wakes(now)]
            if busy := [lane for _, lanes in awake for lane in lanes]:  # not out: later tiers stay in reserve
                held = [lane for lane in busy if lane.in_flight < lane.limit]
                waits = [(lane, lane.slots.wait(tokens, now)) for lane in held if lane.slots]
                wakes += [until for _, until in waits if until is not None]
                return Wait(min(wakes, default=None), tuple(lane for lane, until in waits if until is None))
        if any(lane.retired is None for lane in self):
            return Wait(min(wakes, default=None), resting=True)
        return Out("; ".join(f"{lane.key_name}: {lane.retired}" for lane in self))

    def _in_order(self, lost_on: Sequence[Lane]) -> list[list[_Site]]:
        """The tiers; one where two attempts of a call were lost comes last for it."""
        if len(lost_on) < 2 or len(self._tiers) < 2:
            return self._tiers
        lost = [lane.endpoint for lane in lost_on]
        return sorted(self._tiers, key=lambda tier: sum(lost.count(site.endpoint) for site in tier) >= 2)

    def _take(self, site: _Site, free: list[Lane], now: float, tokens: float, lost_on: Sequence[Lane]) -> Permit:
        lane = free[0] if len(free) == 1 else min(free, key=lambda one: (one in lost_on, one.in_flight))
        lane.in_flight += 1
        if site.endpoint.weight:  # one that was out does not make up for it
            self._served = max(site.served, self._served)
            site.served = self._served + 1 / site.endpoint.weight
        ticket = lane.slots.take(tokens) if lane.slots else None
        return Permit(lane, ticket, now, site.circuit.enter())

    def answered(self, permit: Permit, now: float, tokens: float) -> None:
        """The call ended with an answer of `tokens` tokens, prompt and completion."""
        lane = permit.lane
        if self._adapt:
            lane.concurrency.answered(lane.in_flight, now - permit.at)
        lane.in_flight -= 1
        lane.strikes = 0
        if lane.slots and permit.ticket:
            lane.slots.settle(permit.ticket, tokens)

    def give_back(self, permit: Permit, used: bool) -> None:
        """The call ended without an answer; `used` where it may have cost its tokens all the same."""
        permit.lane.in_flight -= 1
        permit.lane.circuit.leave(permit.probe)
        if permit.lane.slots and permit.ticket and not used:
            permit.lane.slots.settle(permit.ticket, 0.0)

    def heard(self, lane: Lane) -> bool:
        """The lane's endpoint answered something, be it a refusal. Returns whether it is asked again from now on; then
        calls in flight begin low."""
        closed = lane.circuit.answered()
        if closed and self._adapt:
            for one in self:
                if one.circuit is lane.circuit:
                    one.concurrency.begin_again()
        return closed

    def lost(self, permit: Permit, now: float, gone: bool = False, rest_s: float | None = None) -> bool:
        """An attempt was lost, see `Circuit.failed`; returns whether the endpoint is to blame and not the call."""
        permit.lane.concurrency.failed()
        return permit.lane.circuit.failed(now, permit.probe, gone, rest_s)

    def cool(self, permit: Permit, now: float, seconds: float | None) -> float:
        """The lane rests for `seconds`, or for 1, 2, 4 … 60 s where the endpoint named no time. Returns until when."""
        lane = permit.lane
        if self._adapt:
            lane.concurrency.throttled(permit.at, now)
        if seconds is None:
            if lane.ready_at > now:  # calls that were in flight together are one strike
                return lane.ready_at
            seconds = min(60.0, 2.0 ** min(lane.strikes, 6))
            lane.strikes += 1
        lane.ready_at = max(lane.ready_at, now + seconds)
        return lane.ready_at

    def is_out(self, endpoint: Endpoint, now: float) -> bool:
        """Whether no lane of the endpoint is awake, so that a later one serves."""
        return not any(site.awake(now) for site in self._sites if site.endpoint is endpoint)

    def rest(self, name: str, until: float) -> None:
        """Another caller was told that this lane should rest."""
        for lane in self:
            if lane.name == name:
                lane.ready_at = max(lane.ready_at, until)

    def retire(self, name: str, why: str) -> None:
        """The key is dead, unless it is put in again."""
        for lane in self:
            if lane.name == name:
                lane.retired = lane.retired or why

    def exchange(self, generation: int, keys: Mapping[str, Keys]) -> None:
        """The keys by their endpoints' names from now on, where `generation` is newer than the last. New ones serve,
        missing ones take no further call, and those that are there again are tried again."""
        if generation <= self._generation:
            return
        self._generation = generation
        for site in self._sites:
            before = {lane.key_name: lane for lane in site.lanes}
            wanted = keys.get(site.endpoint.name, [])
            if site.endpoint.rotates and wanted:
                site.lanes = [before.get(key_name) or self._lane(site, key_name, key) for key_name, key in wanted]
                for lane in site.lanes:
                    lane.retired = None
