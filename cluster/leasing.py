"""One caller's side of the keys' limits: asks the broker for leases on lanes that need one, and gives back what was not
used. What may be leased is the broker's to say, and who uses it the lanes'."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ray.exceptions import RayActorError

from cluster.lanes import Lane
from cluster.leases import Grant

log = logging.getLogger(__name__)

_GIVE_BACK_S = 0.5
_ASK_AGAIN_S = 1.0


class Leasing:
    """Use from one event loop only. A lane is asked for once at a time, whoever waits for it."""

    def __init__(self, broker: Any, clock: Callable[[], float]) -> None:
        self._broker, self._clock = broker, clock
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._returning: dict[str, asyncio.Task[None]] = {}

    def ask(
        self, lanes: Sequence[Lane], requests: int, tokens_each: float, wake: Callable[[], Awaitable[None]]
    ) -> None:
        """Have each of these lanes leased so many requests; `wake` is called whenever one was answered and starts."""
        for lane in lanes:
            task = self._asking.get(lane.name)
            if task is None or task.done():
                work = self._ask(lane, requests, tokens_each, wake)
                self._asking[lane.name] = asyncio.get_running_loop().create_task(work)

    async def _ask(self, lane: Lane, requests: int, tokens_each: float, wake: Callable[[], Awaitable[None]]) -> None:
        slots = lane.slots
        assert slots is not None
        slots.let_go()
        asked_at = self._clock()
        try:
            grant: Grant = await self._broker.grant.remote(lane.name, requests, tokens_each, slots.told())
        except RayActorError as error:
            log.warning("no lease for %s: the key broker is lost (%s)", lane.key_name, type(error).__name__)
            grant = Grant(0, 0, 0.0, _ASK_AGAIN_S)
        slots.receive(grant, asked_at, self._clock())
        self.give_back_soon(lane)
        await asyncio.sleep(grant.after_s)
        self._asking.pop(lane.name, None)
        await wake()

    def give_back_soon(self, lane: Lane) -> None:
        """What the lane does not use goes back within a moment, and what is left of its lease when that is over."""
        task = self._returning.get(lane.name)
        if lane.slots is not None and (task is None or task.done()):
            self._returning[lane.name] = asyncio.get_running_loop().create_task(self._give_back(lane))

    async def _give_back(self, lane: Lane) -> None:
        slots = lane.slots
        assert slots is not None
        while slots.unused or slots.requests:
            await asyncio.sleep(_GIVE_BACK_S)
            if self._clock() >= slots.end:
                slots.let_go()
            if slots.unused:
                try:
                    await self._broker.give_back.remote(lane.name, slots.told())
                except RayActorError:
                    return
