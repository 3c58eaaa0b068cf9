"""A fleet of callers between real processes: it grows with the programs, and drains whom it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray

from actors.caller_fleet import CallerFleet
from cluster.caller_pool import CallerPool
from cluster.chat import ChatModel
from cluster.meter import Meter, Tally
from cluster.named import Fleet, Named, start
from cluster.sizing import Allowed, Bounds, Crowd

NO_SHARE = {"num_cpus": 0, "max_restarts": -1}


@dataclass(frozen=True)
class Nap:
    """Sleeps until there is a file, and tells the process in which it did."""

    number: int
    until: Path

    @property
    def item_id(self) -> str:
        return f"nap/{self.number}"

    async def run(self, chat: ChatModel) -> tuple[int, int]:
        while not self.until.exists():
            await asyncio.sleep(0.1)
        return self.number, os.getpid()


class NoModel:
    """What naps ask of a model: nothing."""

    def __init__(self, tally: Tally) -> None:
        pass

    async def catch_up(self) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture
def fleet():
    """From one to three callers, of ten programs each."""
    namespace = uuid.uuid4().hex
    meter = Named("meter", namespace)
    crowd = Crowd(Allowed(1000), Bounds(1, 3, each=10, idle_s=1.0))
    named = Fleet("callers", namespace)
    handles = [start(Meter, meter, num_cpus=0)]
    handles.append(start(CallerFleet, named, namespace, NoModel, meter, crowd, NO_SHARE, num_cpus=0, max_restarts=-1))
    yield named
    for handle in reversed(handles):
        ray.kill(handle)


async def size_is(fleet: Named, wanted: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while await fleet.handle().size.remote() != wanted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


def test_a_fleet_grows_with_its_programs_and_shrinks_without_losing_one(fleet, tmp_path):
    morning, noon = tmp_path / "morning", tmp_path / "noon"

    async def main():
        pool = CallerPool([fleet])
        first = [asyncio.create_task(pool.run(Nap(number, morning))) for number in range(35)]
        await size_is(fleet, 3)
        second = await asyncio.gather(*(pool.run(Nap(number, tmp_path)) for number in range(60)))
        long = [asyncio.create_task(pool.run(Nap(number, noon))) for number in range(6)]
        await asyncio.sleep(1)
        morning.touch()
        outcomes = await asyncio.gather(*first)
        await size_is(fleet, 1)
        noon.touch()
        return outcomes, second, await asyncio.gather(*long)

    outcomes, second, long = asyncio.run(main())
    assert sorted(one.value[0] for one in outcomes) == list(range(35))
    newcomers = {one.value[1] for one in second} - {one.value[1] for one in outcomes}
    assert len(newcomers) == 2, "they take what comes, as long as the first one has more"
    assert {one.value[1] for one in long} <= newcomers, "whoever had work was not ended before it was done"


@pytest.mark.slow
def test_programs_outlive_their_fleet(fleet, tmp_path):
    async def main():
        pool = CallerPool([fleet])
        running = [asyncio.create_task(pool.run(Nap(number, tmp_path / "morning"))) for number in range(20)]
        await asyncio.sleep(2)
        os.kill(await fleet.handle().pid.remote(), signal.SIGKILL)
        (tmp_path / "morning").touch()
        return await asyncio.gather(*running)

    assert sorted(one.value[0] for one in asyncio.run(main())) == list(range(20))
