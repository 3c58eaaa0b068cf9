"""Callers in one loop whose clock jumps, over one account of a key: what is sent when, and that nobody is forgotten."""

import asyncio
import selectors
from collections import Counter
from types import SimpleNamespace

import pytest

from cluster.budget import Fund
from cluster.chat import ChatAnswer, ChatRequest, Role, Usage
from cluster.errors import Halt
from cluster.keys import Endpoint, Price, Secret, key_limits
from cluster.lanes import Lanes
from cluster.leases import KeyAccount
from cluster.leasing import Leasing
from cluster.meter import Tally
from cluster.paid_chat import PaidChat
from cluster.purse import LeasedSpending
from cluster.retry import Trouble


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time is whatever is due next; a loop in which nothing will ever happen is an error."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(selectors.DefaultSelector())
        select = self._selector.select

        def jump(timeout):
            if timeout is None and not (ready := select(0.2)):
                raise RuntimeError("everybody waits for what will never happen")
            self.now += max(0.0, timeout or 0.0)
            return ready if timeout is None else select(0)

        self._selector.select = jump

    def time(self) -> float:
        return self.now


def play(main):
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())


def now() -> float:
    return asyncio.get_running_loop().time() - 1000.0


class Broker:
    """The accounts behind a handle, as Ray gives one; every message takes a few milliseconds."""

    def __init__(self, endpoints, budget_usd: float = 0.0) -> None:
        self.keys = {name: KeyAccount(*limits) for name, limits in key_limits(endpoints).items()}
        self.fund, self.asked = Fund(budget_usd), Counter()
        self.grant, self.give_back, self.lease = (
            SimpleNamespace(remote=call) for call in (self._grant, self._give_back, self._lease)
        )

    async def _grant(self, key, requests, tokens_each, unused):
        self.asked["grant"] += 1
        await asyncio.sleep(0.003)
        self.keys[key].give_back(unused)
        return self.keys[key].ask(requests, tokens_each, now())

    async def _give_back(self, key, unused) -> None:
        self.keys[key].give_back(unused)

    async def _lease(self, holder, spent, returned, needed):
        self.asked["lease"] += 1
        await asyncio.sleep(0.003)
        return self.fund.ask(holder, spent, returned, needed, now())


class Transport:
    def __init__(self, takes_s: float, script=lambda item: None) -> None:
        self.takes_s, self.script, self.sent = takes_s, script, []

    async def send(self, lane, request) -> ChatAnswer:
        self.sent.append((now(), lane.key_name))
        await asyncio.sleep(self.takes_s)
        if said := self.script(request.item):
            raise said
        price = lane.endpoint.price
        return ChatAnswer("fine", "m", "stop", Usage(1, 100, 50, price.cost(100, 50) if price else 0.0))

    async def close(self) -> None:
        return None


def endpoint(*keys: str, **settings) -> Endpoint:
    return Endpoint("e", "http://e/v1", "m", [(key, Secret("k")) for key in keys or ("a",)], **settings)


def request(item: str) -> ChatRequest:
    return ChatRequest(Role.PERSONA, [{"role": "user", "content": "ask " * 75}], item, 100, 0.9, 7)


async def fleet(one: Endpoint, callers: int, calls: int, transport: Transport, budget_usd: float = 0.0):
    """Outcomes of so many calls over so many callers, and the broker that they shared."""
    broker, clock = Broker([one], budget_usd), asyncio.get_running_loop().time
    chats = [
        PaidChat(
            Lanes([one], callers, adapt=True),
            transport,
            Tally(None),
            clock,
            spending=LeasedSpending(broker, [one], budget_usd) if budget_usd else None,
            leasing=Leasing(broker, clock),
        )
        for _ in range(callers)
    ]
    work = (chats[number % callers].answer(request(str(number))) for number in range(calls))
    return await asyncio.gather(*work, return_exceptions=True), broker


def densest(transport: Transport, key: str = "a") -> int:
    times = [at for at, name in transport.sent if name == key]
    return max(sum(at <= other < at + 60 for other in times) for at in times)


@pytest.mark.parametrize("callers", [1, 4, 16])
@pytest.mark.parametrize("takes_s", [0.01, 2.0, 90.0])
def test_all_calls_are_made_within_the_limit_and_nearly_as_fast_as_it_allows(callers, takes_s):
    transport = Transport(takes_s)

    async def main():
        outcomes, _ = await fleet(endpoint(requests_per_minute=120), callers, 480, transport)
        return outcomes

    assert all(isinstance(one, ChatAnswer) for one in play(main))
    assert densest(transport) <= 120
    assert max(at for at, _ in transport.sent) < 300 + (400 if takes_s == 90.0 else 0)


def test_each_key_is_used_to_its_own_limit():
    transport = Transport(0.5)
    play(lambda: fleet(endpoint("a", "b", requests_per_minute=60), 4, 240, transport))
    assert densest(transport, "a") <= 60 and densest(transport, "b") <= 60
    assert max(at for at, _ in transport.sent) < 160


@pytest.mark.parametrize("callers", [1, 4])
def test_tokens_are_leased_at_their_worst_and_what_was_not_used_goes_back(callers):
    transport = Transport(0.5)
    play(lambda: fleet(endpoint(tokens_per_minute=6000), callers, 120, transport))
    assert densest(transport) * 150 <= 6000
    assert max(at for at, _ in transport.sent) < 260  # 180 s at the least, 250 were nothing given back


def test_troubles_and_refusals_lose_no_call_and_no_place():
    def script(item: str):
        counts[item] += 1
        return [Trouble(429, "slow", None, 3.0), Trouble(500, "sorry"), None][min(2, counts[item] - 1)]

    counts: Counter[str] = Counter()
    transport = Transport(0.2, script)

    async def main():
        outcomes, _ = await fleet(endpoint("a", "b", requests_per_minute=600), 4, 100, transport)
        return outcomes

    assert all(isinstance(one, ChatAnswer) for one in play(main))


def test_without_limits_nobody_is_asked():
    async def main():
        _, broker = await fleet(endpoint(), 2, 200, Transport(0.1))
        return broker.asked

    assert play(main) == Counter()


@pytest.mark.parametrize("callers", [1, 4, 16])
def test_the_fleet_spends_its_budget_and_no_more_and_asks_seldom(callers):
    price = Price(1.0, 2.0)
    limit, transport = 1000 * price.cost(100, 50), Transport(0.5)

    async def main():
        return await fleet(endpoint(price=price), callers, 2000, transport, limit)

    outcomes, broker = play(main)
    assert {type(one) for one in outcomes} == {ChatAnswer, Halt}
    assert 985 <= len(transport.sent) <= 1000
    assert broker.fund.spent <= limit + 1e-9
    assert broker.asked["lease"] < 700
