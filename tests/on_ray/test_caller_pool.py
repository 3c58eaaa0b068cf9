"""Programs through caller actors that die, with a client in the test's own process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from dataclasses import dataclass

import pytest
import ray

from actors.llm_caller import LLMCaller
from cluster.caller_pool import CallerPool
from cluster.chat import ChatModel
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.meter import Tally
from cluster.named import Named, start
from cluster.program import Done, Failed, Halted


@dataclass(frozen=True)
class Nap:
    """Sleeps, and tells the process in which it did."""

    number: int
    seconds: float = 0.0

    @property
    def item_id(self) -> str:
        return f"nap/{self.number}"

    async def run(self, chat: ChatModel) -> tuple[int, int]:
        await asyncio.sleep(self.seconds)
        return self.number, os.getpid()


@dataclass(frozen=True)
class Fault(Nap):
    error: Exception | None = None

    async def run(self, chat: ChatModel) -> tuple[int, int]:
        raise self.error


class NoModel:
    """What these programs ask of a model: nothing."""

    def __init__(self, tally: Tally) -> None:
        pass

    async def catch_up(self) -> None:
        pass


@pytest.fixture
def callers():
    named = [Named(f"caller-{at}", uuid.uuid4().hex) for at in range(2)]
    handles = [start(LLMCaller, one, NoModel, num_cpus=0, max_restarts=-1) for one in named]
    ray.get([handle.pid.remote() for handle in handles])
    yield named
    for handle in handles:
        ray.kill(handle)


def test_a_slow_program_holds_up_no_other_and_both_callers_work(callers):
    async def main():
        pool = CallerPool(callers)
        slow = asyncio.create_task(pool.run(Nap(-1, 3.0)))
        outcomes = await asyncio.gather(*(pool.run(Nap(number)) for number in range(300)))
        assert not slow.done()
        slow.cancel()
        return outcomes

    values = [outcome.value for outcome in asyncio.run(main())]
    assert [number for number, _ in values] == list(range(300))
    assert len({pid for _, pid in values}) == 2


def test_what_goes_wrong_in_a_program_is_its_own_outcome(callers):
    async def main():
        pool = CallerPool(callers)
        errors = [CallFailed(FailureKind.REFUSED, "no"), Halt("no money"), ZeroDivisionError("a bug")]
        return await asyncio.gather(*(pool.run(Fault(0, error=error)) for error in errors), pool.run(Nap(1)))

    refused, halted, bug, done = asyncio.run(main())
    assert isinstance(refused, Failed) and (refused.kind, refused.message) == (FailureKind.REFUSED, "no")
    assert halted == Halted("no money")
    assert isinstance(bug, Failed) and bug.kind is FailureKind.BUG and "ZeroDivisionError: a bug" in bug.message
    assert isinstance(done, Done)


def test_programs_of_a_caller_that_is_killed_again_and_again_are_sent_again_and_end_once(callers):
    async def main():
        pool = CallerPool(callers)
        running = [asyncio.create_task(pool.run(Nap(number, 0.5 + number / 100))) for number in range(200)]
        victim = callers[0].handle()
        for _ in range(2):
            pid = await victim.pid.remote()
            await asyncio.sleep(0.3)
            os.kill(pid, signal.SIGKILL)
            await _comes_back(victim, pid)
        return await asyncio.gather(*running)

    outcomes = asyncio.run(main())
    assert sorted(outcome.value[0] for outcome in outcomes) == list(range(200))


async def _comes_back(caller, gone: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if await caller.pid.remote() != gone:
                return
        except ray.exceptions.RayActorError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the caller did not come back")


def test_what_a_client_sent_that_died_is_dropped(callers):
    async def main():
        handle = callers[0].handle()
        await handle.take.remote([(0, Nap(0, 60.0)), (1, Nap(1))], client="gone")
        await handle.drop.remote("gone")
        await handle.take.remote([(0, Nap(7))], client="gone")
        return await handle.finished.remote("gone")

    _, outcomes = asyncio.run(main())
    assert [(number, outcome.value[0]) for number, outcome in outcomes] == [(0, 7)]
