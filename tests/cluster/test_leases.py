import heapq
import random

import pytest

from cluster.leases import SPAN_S, VALID_S, Grant, KeyAccount, Unused
from cluster.slots import Slots


def most_in_a_minute(used: list[tuple[float, float]]) -> float:
    """The largest sum of amounts in any window of 60 s."""
    used, most, held, first = sorted(used), 0.0, 0.0, 0
    for at, amount in used:
        held += amount
        while used[first][0] <= at - 60:
            held -= used[first][1]
            first += 1
        most = max(most, held)
    return most


# --- the account of a key


def test_leases_start_evenly_one_after_the_other():
    account = KeyAccount(30, None)
    starts = [account.ask(1, 0, 0.0).after_s for _ in range(3)]
    assert starts == pytest.approx([0, SPAN_S / 30, 2 * SPAN_S / 30])


def test_nobody_is_promised_what_is_far_away():
    account = KeyAccount(6, None)
    assert account.ask(1, 0, 0.0).requests == 1
    later = account.ask(1, 0, 0.0)
    assert later.requests == 0 and 0 < later.after_s <= 1
    assert account.ask(1, 0, 6.0).requests == 1


def test_a_block_is_about_a_second_of_the_limit():
    assert KeyAccount(6000, None).ask(1000, 0, 0.0).requests == int(6000 / SPAN_S)
    assert KeyAccount(6000, None).ask(5, 0, 0.0).requests == 5


def test_what_was_not_used_is_leased_again():
    account = KeyAccount(None, 1000)
    grant = account.ask(1, 1000, 0.0)
    assert account.ask(1, 1000, 1.0).requests == 0
    account.give_back({grant.number: Unused(0, 900)})
    assert account.ask(1, 800, 10.0).requests == 1
    account.give_back({99: Unused(5, 5.0)})


def test_a_call_larger_than_a_minute_has_is_let_through_alone():
    account = KeyAccount(None, 1000)
    assert account.ask(1, 5000, 0.0).tokens == 1000
    assert account.ask(1, 10, 30.0).requests == 0
    assert account.ask(1, 10, SPAN_S).requests == 1


def test_after_a_restart_nothing_is_leased_beyond_what_ages_out():
    account = KeyAccount(60, 6000)
    account.assume_used(1000.0)
    taken, now = 0, 1000.0
    while now < 1030:
        taken += account.ask(1, 1, now).requests
        now += 0.25
    assert taken <= 36


def test_a_slower_limit_than_one_a_minute_is_kept_too():
    account = KeyAccount(0.5, None)
    assert account.ask(3, 0, 0.0).requests == 1
    assert account.ask(1, 0, 100.0).requests == 0
    assert account.ask(1, 0, 125.0).requests == 1


# --- the caller's side


def test_a_lease_begins_no_earlier_and_ends_no_later_than_meant_however_slow_the_message():
    slots = Slots(None)
    slots.receive(Grant(1, 2, 0.0, 1.0), asked_at=10.0, now=10.5)
    assert not slots.fits(0, 11.4) and slots.wait(0, 11.0) == 11.5
    assert slots.fits(0, 11.5)
    assert not slots.fits(0, 10 + 1 + VALID_S) and slots.wait(0, 14.0) is None


def test_what_a_call_did_not_use_goes_back_once():
    slots = Slots(1000)
    slots.receive(Grant(7, 3, 300.0, 0.0), 0.0, 0.0)
    ticket = slots.take(100)
    slots.settle(ticket, 30)
    slots.let_go()
    assert slots.told() == {7: Unused(2, 270.0)}
    assert slots.told() == {} and not slots.fits(1, 0.0)


# --- the fleet


class Fleet:
    """Callers with clocks of their own that talk to one account by slow messages; keeps what was sent, and when."""

    def __init__(self, rng: random.Random, callers: int, rpm: float | None, tpm: float | None) -> None:
        self.rng, self.account = rng, KeyAccount(rpm, tpm)
        self.slots = [Slots(tpm) for _ in range(callers)]
        self.skew = [rng.uniform(-1e4, 1e4) for _ in range(callers)]
        self.asked = [False] * callers
        self.sent: list[float] = []
        self.tokens: list[tuple[float, float]] = []
        self.events: list[tuple[float, int, object]] = []
        self.count = 0

    def at(self, when: float, act) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, act))

    def work(self, caller: int, now: float) -> None:
        """Send all that may be sent, then ask for more; there is always more to do."""
        slots, local = self.slots[caller], now + self.skew[caller]
        while slots.fits(100, local):
            ticket = slots.take(100)
            used = self.rng.uniform(5, 100)
            self.sent.append(now + self.rng.uniform(0, 0.4))
            self.tokens.append((self.sent[-1], used))
            self.at(now + self.rng.expovariate(1), lambda _, ticket=ticket, used=used: slots.settle(ticket, used))
        wait = slots.wait(100, local)
        if wait is not None:
            self.at(wait - self.skew[caller] + 1e-6, lambda now: self.work(caller, now))
        elif not self.asked[caller]:
            self.asked[caller] = True
            slots.let_go()
            unused, there = slots.told(), now + self.rng.uniform(0, 0.1)
            self.at(there, lambda now: self.broker(caller, local, unused, now))

    def broker(self, caller: int, asked_at: float, unused, now: float) -> None:
        self.account.give_back(unused)
        grant = self.account.ask(self.rng.randint(1, 40), 100, now)
        slots = self.slots[caller]

        def arrive(now: float) -> None:
            self.asked[caller] = False
            if slots is self.slots[caller]:  # else it died meanwhile
                slots.receive(grant, asked_at, now + self.skew[caller])
            self.work(caller, now)

        self.at(now + self.rng.uniform(0, 0.1), arrive)

    def die(self, caller: int, tpm: float | None) -> None:
        self.slots[caller] = Slots(tpm)

    def run(self, until: float) -> None:
        for caller in range(len(self.slots)):
            self.at(self.rng.random(), lambda now, caller=caller: self.work(caller, now))
        while self.events and self.events[0][0] < until:
            now, _, act = heapq.heappop(self.events)
            act(now)


@pytest.mark.parametrize("callers", [1, 4, 16])
@pytest.mark.parametrize(("rpm", "tpm"), [(60, None), (1200, None), (None, 30_000), (120, 6_000)])
def test_no_minute_holds_more_than_the_limits_and_most_of_them_is_used(callers, rpm, tpm):
    for seed in range(3):
        fleet = Fleet(random.Random(seed), callers, rpm, tpm)
        fleet.run(300.0)
        if rpm:
            assert most_in_a_minute([(at, 1) for at in fleet.sent]) <= rpm
        if tpm:
            assert most_in_a_minute(fleet.tokens) <= tpm
        share = max(
            len(fleet.sent) / 5 / rpm if rpm else 0, sum(used for _, used in fleet.tokens) / 5 / tpm if tpm else 0
        )
        assert share > 0.8


@pytest.mark.parametrize("seed", range(5))
def test_the_limits_hold_while_callers_die_and_come_back(seed):
    rng = random.Random(seed)
    fleet = Fleet(rng, 8, 300, 40_000)
    for _ in range(40):
        fleet.at(rng.uniform(0, 300), lambda _: fleet.die(rng.randrange(8), 40_000))
    fleet.run(300.0)
    assert most_in_a_minute([(at, 1) for at in fleet.sent]) <= 300
    assert most_in_a_minute(fleet.tokens) <= 40_000
    assert len(fleet.sent) > 600
