"""The caller actors of a run as `pipelines.services` makes them, and an actor that sends them programs.

For the benchmarks; Ray is up, and all of it runs on this machine.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray
import yaml
from asking import Asking
from fast_server import FastServer, cpu_s

from cluster.caller_pool import CallerPool
from cluster.named import Named
from cluster.program import Done, Outcome, Program
from pipelines.services import services
from pipelines.settings import load

Make = Callable[[int], Program[object]]
"""The program of a number; each is another."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Answers in `seconds`, and the CPU seconds that the callers and the actor that sends to them used for them."""

    answers: int
    seconds: float
    callers_cpu_s: float
    sender_cpu_s: float


class Sender:
    """Keeps programs in flight, as persona pools and conversation writers do: of `calls` calls, or others."""

    def __init__(self, callers: Sequence[Named], pids: Sequence[int], calls: int) -> None:
        self._pool, self._pids = CallerPool(callers), pids
        self._asking: Make = partial(Asking, calls=calls)
        self._numbers = itertools.count()

    async def keep(
        self, server: FastServer, in_flight: int, warm_s: float, seconds: float, make: Make | None = None
    ) -> Spent:
        """So many programs at once; once they are warm, what the server answered counts."""
        until = time.perf_counter() + warm_s + seconds
        loops = [asyncio.create_task(self._loop(until, make or self._asking)) for _ in range(in_flight)]
        await asyncio.sleep(warm_s)
        began = await self._now(server)
        await asyncio.sleep(max(0.0, until - time.perf_counter()))
        ended = await self._now(server)
        await asyncio.gather(*loops)
        answers, wall, callers, own = (after - before for before, after in zip(began, ended, strict=True))
        return Spent(int(answers), wall, callers, own)

    async def _now(self, server: FastServer) -> tuple[float, float, float, float]:
        answered = await asyncio.to_thread(server.answered)
        return answered, time.perf_counter(), sum(map(cpu_s, self._pids)), time.process_time()

    async def _loop(self, until: float, make: Make) -> None:
        while time.perf_counter() < until:
            outcome = await self._pool.run(make(next(self._numbers)))
            if not isinstance(outcome, Done):
                raise RuntimeError(f"a program failed: {outcome}")

    async def send(self, programs: int, in_flight: int) -> list[Outcome]:
        """The outcome of each of so many programs, never more than `in_flight` at once."""
        places = asyncio.Semaphore(in_flight)

        async def one(number: int) -> Outcome:
            async with places:
                return await self._pool.run(self._asking(number))

        return await asyncio.gather(*map(one, range(programs)))


@contextmanager
def fleet(folder: Path, endpoint: Mapping[str, Any], callers: int, calls: int = 4) -> Iterator[Any]:
    """A handle of a `Sender` to so many callers of an endpoint, which is given as it stands in a config."""
    content = {
        "run_dir": str(folder / "run"),
        "documents": {"path": [str(folder)]},
        "llm": {"endpoints": [dict(endpoint)]},
        "personas": {"dedup": {"scope": "none"}},
        "cluster": {"callers": {"min": callers, "max": callers}},
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(content))
    settings = load(config, [])
    settings.folder.mkdir(exist_ok=True)
    with services(settings, settings.folder, "benchmark") as actors:
        names = actors.links.callers
        pids = ray.get([name.handle().pid.remote() for name in names])
        sender = ray.remote(Sender).options(num_cpus=0.25).remote(names, pids, calls)
        try:
            yield sender
        finally:
            ray.kill(sender)
