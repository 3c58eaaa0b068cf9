import random
from dataclasses import replace

import pytest

from cluster.budget import SILENT_AFTER_S, Fund, known_spent, restore
from cluster.chat import ChatRequest, Role
from cluster.purse import Purse
from cluster.retry import Trouble, may_be_paid
from cluster.spending import prompt_tokens


class Caller:
    """A purse and its talk with the fund; `reported` is what the fund has heard of its spending."""

    def __init__(self, fund: Fund, name: str) -> None:
        self.fund, self.name, self.purse = fund, name, Purse()

    def tell(self, now: float, needed: float = 0.0):
        lease = self.fund.ask(self.name, self.purse.spent, self.purse.returned, needed, now)
        self.purse.leased = lease.leased
        return lease

    def take(self, cost: float, now: float) -> bool:
        if not self.purse.covers(cost):
            self.purse.give_back()
            self.tell(now, self.purse.missing(cost))
        if self.purse.covers(cost):
            self.purse.reserve(cost)
            return True
        return False


def test_what_is_left_is_leased_to_nobody_twice():
    fund = Fund(10.0)
    first = fund.ask("a", 0, 0, 4.0, 0.0)
    second = fund.ask("b", 0, 0, 4.0, 0.0)
    assert first.leased >= 4 and second.leased >= 4 and first.leased + second.leased <= 10
    assert fund.ask("c", 0, 0, 4.0, 0.0).leased == 0


def test_a_block_covers_many_calls_while_there_is_much_and_few_when_there_is_little():
    fund = Fund(1000.0)
    assert fund.ask("a", 0, 0, 0.01, 0.0).leased == pytest.approx(0.64)
    small = Fund(1.0)
    assert small.ask("a", 0, 0, 0.3, 0.0).leased == pytest.approx(0.5)


def test_what_is_given_back_can_be_leased_again():
    fund = Fund(1.0)
    one, other = Caller(fund, "a"), Caller(fund, "b")
    assert one.take(0.9, 0.0) and not other.take(0.5, 0.0)
    one.purse.settle(0.9, 0.1)
    one.purse.give_back()
    one.tell(1.0)
    assert fund.spent == pytest.approx(0.1)
    assert other.take(0.5, 1.0)


def test_while_calls_are_on_the_wire_a_refusal_is_not_final_and_afterwards_it_is():
    fund = Fund(1.0)
    one, other = Caller(fund, "a"), Caller(fund, "b")
    assert one.take(0.9, 0.0)
    refused = other.tell(0.0, 0.5)
    assert refused.more_later and refused.scarce
    one.purse.settle(0.9, 0.9)
    one.purse.give_back()
    one.tell(1.0)
    assert not other.tell(1.0, 0.5).more_later


def test_what_a_dead_caller_held_counts_as_spent_and_nobody_waits_for_it():
    fund = Fund(1.0)
    assert Caller(fund, "dead").take(0.9, 0.0)
    other = Caller(fund, "b")
    assert other.tell(SILENT_AFTER_S - 1, 0.5).more_later
    late = other.tell(SILENT_AFTER_S + 1, 0.5)
    assert late.leased == 0 and not late.more_later
    assert known_spent(fund.state()) == 0  # the next session may try again


def test_a_message_that_comes_twice_or_late_changes_nothing():
    fund = Fund(10.0)
    fund.ask("a", 0, 0, 1.0, 0.0)
    fund.ask("a", 0.4, 0.2, 0.0, 1.0)
    left = fund.left
    fund.ask("a", 0.4, 0.2, 0.0, 2.0)
    fund.ask("a", 0.1, 0.0, 0.0, 3.0)
    assert fund.left == left and fund.spent == 0.4


def test_what_was_spent_before_counts():
    fund = Fund(1.0, before=0.8)
    assert fund.ask("a", 0, 0, 0.3, 0.0).leased == 0
    assert fund.ask("a", 0, 0, 0.2, 0.0).leased == pytest.approx(0.2)


def test_a_ledger_that_was_restarted_knows_its_leases_and_a_new_session_what_was_spent():
    fund = Fund(5.0, before=1.0)
    caller = Caller(fund, "a")
    assert caller.take(1.0, 0.0)
    caller.purse.settle(1.0, 0.25)
    caller.tell(1.0)
    again = restore(5.0, fund.state(), 100.0)
    assert (again.left, again.spent) == (fund.left, fund.spent)
    assert again.ask("b", 0, 0, 4.0, 100.0).more_later
    assert known_spent(fund.state()) == 1.25


def test_a_call_that_cost_more_than_it_could_is_made_good_before_the_next():
    fund = Fund(10.0)
    caller = Caller(fund, "a")
    assert caller.take(0.1, 0.0)
    caller.purse.settle(0.1, 9.0)
    caller.tell(0.0)
    assert fund.spent == 9.0
    assert not caller.take(2.0, 0.0)
    assert caller.take(0.5, 0.0)
    assert fund.left >= 0


@pytest.mark.parametrize("seed", range(30))
def test_the_cap_holds_for_any_callers_in_any_order_and_is_nearly_reached(seed):
    rng = random.Random(seed)
    limit, fund = 1.0, Fund(1.0)
    callers = [Caller(fund, str(number)) for number in range(rng.choice([1, 4, 16]))]
    gone: list[Caller] = []
    wire: list[tuple[Caller, float]] = []
    now, idle = 0.0, 0
    while idle < 400:
        now += rng.random() * 0.1
        caller = rng.choice(callers)
        idle += 1
        act = rng.random()
        if act < 0.5:
            cost = rng.uniform(0.001, 0.01)
            if caller.take(cost, now):
                wire.append((caller, cost))
                idle = 0
        elif act < 0.8 and wire:
            owner, cost = wire.pop(rng.randrange(len(wire)))
            owner.purse.settle(cost, cost * rng.random())
        elif act < 0.95:
            caller.purse.give_back()
            caller.tell(now)
        elif act < 0.96 and len(gone) < 3:
            gone.append(caller)
            wire = [one for one in wire if one[0] is not caller]
            callers[callers.index(caller)] = Caller(fund, f"{caller.name}'")
        paid = sum(one.purse.spent + one.purse.reserved for one in [*callers, *gone])
        assert paid <= limit + 1e-6
        if rng.random() < 0.02:
            fund = restore(limit, fund.state(), now)
            for one in callers:
                one.fund = fund
        if idle == 399 and wire:
            idle = 0
            for owner, cost in wire:
                owner.purse.settle(cost, cost)
            wire = []
    lost = sum(one.purse.leased - one.purse.returned - one.purse.spent for one in gone)
    assert sum(one.purse.spent for one in [*callers, *gone]) + lost > limit - 0.03


def test_a_prompt_is_taken_for_no_fewer_tokens_than_it_has():
    asked = ChatRequest(Role.JUDGE, [{"role": "user", "content": "a" * 3000}], "i", 100, 0.5, 1)
    assert prompt_tokens(asked) >= 1000
    assert prompt_tokens(replace(asked, messages=[{"role": "user", "content": "語" * 3000}])) >= 3000
    assert prompt_tokens(replace(asked, schema={"type": "object"})) > prompt_tokens(asked)


@pytest.mark.parametrize(
    ("trouble", "paid"),
    [
        (Trouble(None, "no answer in 120 s"), True),
        (Trouble(None, "refused", connected=False), False),
        (Trouble(200, "half a body", is_api=False), True),
        (Trouble(400, "filtered", code="content_filter"), True),
        (Trouble(400, "too long"), False),
        (Trouble(429, "slow down"), False),
        (Trouble(500, "sorry"), False),
    ],
)
def test_what_may_have_been_done_may_have_been_paid(trouble, paid):
    assert may_be_paid(trouble) is paid
