"""What was counted while the meter was lost."""

from __future__ import annotations

import asyncio
import time
import uuid

import ray

from cluster.meter import Meter, Tally
from cluster.named import Named, start


async def lost(meter, epoch: str) -> None:
    """Until it is: to be killed takes a moment, in which it still counts."""
    while True:
        try:
            if (await meter.snapshot.remote())[0] != epoch:
                return
        except ray.exceptions.RayActorError:
            return


def test_counts_wait_for_a_meter_that_comes_back():
    meter = start(Meter, Named("meter", uuid.uuid4().hex), num_cpus=0, max_restarts=-1)
    epoch, _, _ = ray.get(meter.snapshot.remote())

    async def main() -> float:
        tally, deadline = Tally(meter), time.monotonic() + 60
        ray.kill(meter, no_restart=False)
        await lost(meter, epoch)
        tally.add(calls=2)
        while time.monotonic() < deadline:
            await tally.flush()
            try:
                _, totals, _ = await meter.snapshot.remote()
            except ray.exceptions.RayActorError:
                totals = {}
            if totals:
                return totals["calls"]
            await asyncio.sleep(0.2)
        raise TimeoutError

    try:
        assert asyncio.run(main()) == 2
    finally:
        ray.kill(meter)
