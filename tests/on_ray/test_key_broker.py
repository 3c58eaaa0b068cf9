"""The broker between real processes: limits and budget hold over several callers, and whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid

import pytest
import ray

from cluster.chat import ChatAnswer, ChatRequest, Role, Usage
from cluster.errors import Halt
from cluster.key_broker import Budget, KeyBroker
from cluster.keys import Endpoint, Price, Secret, key_limits
from cluster.lanes import Lanes
from cluster.leases import VALID_S
from cluster.leasing import Leasing
from cluster.meter import Tally
from cluster.named import Named, start
from cluster.paid_chat import PaidChat
from cluster.purse import LeasedSpending

PRICE = Price(1.0, 2.0)  # 100 prompt tokens and 50 written: $0.0002 a call
PER_SECOND = 20
COST = PRICE.cost(100, 50)


class Transport:
    """Answers after a moment, and keeps when it was asked."""

    def __init__(self) -> None:
        self.sent: list[float] = []

    async def send(self, lane, request) -> ChatAnswer:
        self.sent.append(time.time())
        await asyncio.sleep(0.05)
        return ChatAnswer("fine", "m", "stop", Usage(1, 100, 50, lane.endpoint.price.cost(100, 50)))

    async def close(self) -> None:
        return None


class Caller:
    """A process that makes as many calls as it may."""

    def __init__(self, broker: Named, endpoint: Endpoint, budget_usd: float | None) -> None:
        self._transport = Transport()
        handle = broker.handle()
        spending = LeasedSpending(handle, [endpoint], budget_usd) if budget_usd else None
        lanes = Lanes([endpoint], 4, adapt=True)
        leasing = Leasing(handle, time.monotonic)
        self._chat = PaidChat(lanes, self._transport, Tally(None), spending=spending, leasing=leasing)

    async def work(self, until: float) -> str:
        """Make calls, 32 at once, until that time or until the run halts; returns why it halted."""
        try:
            await asyncio.gather(*(self._calls(until, lane) for lane in range(32)))
        except Halt as halt:
            return str(halt)
        return ""

    async def _calls(self, until: float, lane: int) -> None:
        number = 0
        while time.time() < until:
            number += 1
            message = {"role": "user", "content": "a question " * 25}
            async with asyncio.timeout(max(0.01, until - time.time()) + 30):
                await self._chat.answer(ChatRequest(Role.PERSONA, [message], f"{lane}/{number}", 100, 0.9, 7))

    async def sent(self) -> list[float]:
        return self._transport.sent


def started(folder, endpoint: Endpoint, callers: int, budget_usd: float | None = None):
    namespace = f"test-{uuid.uuid4().hex}"
    named = Named("broker", namespace)
    budget = Budget(budget_usd, 0.0, folder / "budget.json") if budget_usd else None
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    broker = start(KeyBroker, named, namespace, budget, key_limits([endpoint]), **options)
    handles = [
        start(Caller, Named(f"caller-{at}", namespace), named, endpoint, budget_usd, num_cpus=0)
        for at in range(callers)
    ]
    ray.get([broker.pid.remote(), *(one.sent.remote() for one in handles)])
    return broker, handles


def endpoint(**limits: float) -> Endpoint:
    return Endpoint("e", "http://e/v1", "m", [("a", Secret("k"))], price=PRICE, **limits)


def densest(times: list[float], window_s: float) -> int:
    times = sorted(times)
    return max(sum(at <= one < at + window_s for one in times) for at in times)


@pytest.mark.slow
def test_callers_share_a_limit_that_one_could_use_alone_also_when_some_die(tmp_path):
    broker, callers = started(tmp_path, endpoint(requests_per_minute=60 * PER_SECOND), 4)
    until = time.time() + 18
    work = [one.work.remote(until) for one in callers]
    time.sleep(2)
    ray.kill(callers[3])
    time.sleep(1.5)
    os.kill(ray.get(broker.pid.remote()), signal.SIGKILL)
    ray.get(work[:3], timeout=60)
    sent = [at for times in ray.get([one.sent.remote() for one in callers[:3]]) for at in times]
    for window_s in (1.0, 5.0, 10.0):  # a lease may be used late, and a block at once
        assert densest(sent, window_s) <= PER_SECOND * (window_s + VALID_S) + 2 * PER_SECOND
    assert len(sent) >= 100
    assert [at for at in sent if at > until - 4], "the broker that took the place of the killed one leases too"


def test_callers_spend_no_more_than_the_budget_together_and_nearly_all_of_it(tmp_path):
    limit = 300 * COST
    broker, callers = started(tmp_path, endpoint(), 4, limit)
    halts = ray.get([one.work.remote(time.time() + 60) for one in callers], timeout=90)
    assert all("is spent" in one and "raise llm.budget_usd" in one for one in halts)
    calls = sum(len(times) for times in ray.get([one.sent.remote() for one in callers]))
    assert 290 <= calls <= 300
    assert ray.get(broker.spent.remote()) == pytest.approx(calls * COST)


def test_a_broker_that_is_killed_knows_what_was_spent(tmp_path):
    limit = 400 * COST
    broker, callers = started(tmp_path, endpoint(), 2, limit)
    work = [one.work.remote(time.time() + 60) for one in callers]
    while sum(map(len, ray.get([one.sent.remote() for one in callers]))) < 100:
        time.sleep(0.05)
    os.kill(ray.get(broker.pid.remote()), signal.SIGKILL)
    assert all("is spent" in one for one in ray.get(work, timeout=90))
    calls = sum(len(times) for times in ray.get([one.sent.remote() for one in callers]))
    assert 385 <= calls <= 400
