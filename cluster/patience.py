"""Makes the few calls that batches take until they succeed, by the verdicts that chat calls get too: keys rest after a
429 and are retired after a 401, errors are tried again, an outage is waited out. Knows no HTTP."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cluster.errors import Halt
from cluster.key_news import KeyNews
from cluster.lanes import Lane, Lanes
from cluster.meter import Tally
from cluster.paid_chat import PATIENCE_S
from cluster.retry import Action, Trouble, backoff_s, judge

log = logging.getLogger(__name__)

T = TypeVar("T")
TROUBLE_PATIENCE_S = 1800.0
_KEYS_AGAIN_S = 1.0


class Patience:
    """Over the keys of one endpoint. A call that is refused for good ends in its `Trouble`; `Halt` when no key is left,
    nobody answered for `outage_patience_s` seconds, or nothing but errors came for `trouble_patience_s`. Keys that can
    be exchanged are waited for as long as an outage; `news` tells of them."""

    def __init__(
        self,
        lanes: Lanes,
        tally: Tally,
        clock: Callable[[], float],
        outage_patience_s: float = PATIENCE_S,
        trouble_patience_s: float = TROUBLE_PATIENCE_S,
        news: KeyNews | None = None,
    ) -> None:
        self._lanes, self._tally, self._clock, self._news = lanes, tally, clock, news
        self._keys_patience_s = outage_patience_s if news and lanes.rotate else 0.0
        self._patience = {Action.OUTAGE: outage_patience_s, Action.RETRY: trouble_patience_s}

    async def call(self, what: str, work: Callable[[Lane], Awaitable[T]], key_name: str = "") -> T:
        """What `work` brings, on the lane of this key while it lives; `what` it is for stands in a `Halt`."""
        if self._news:
            self._news.listen(self._lanes, _nothing)
        failing_since: float | None = None
        attempt = 0
        while True:
            lane = await self._lane(key_name)
            try:
                result = await work(lane)
            except Trouble as trouble:
                caught = trouble
            else:
                if failing_since is not None:
                    self._tally.note("endpoint", "")
                return result
            now, attempt = self._clock(), attempt + 1
            action = judge(caught).action
            self._tally.add(**{f"trouble_{action}": 1})
            if action is Action.FAIL:
                raise caught
            if action is Action.COOL:
                seconds = caught.retry_after_s or backoff_s(attempt, random.random())
                self._lanes.rest(lane.name, now + seconds)
                self._tally.add(throttled=1)
            elif action is Action.RETIRE:
                self._retire(lane, caught)
            else:
                failing_since = now if failing_since is None else failing_since
                self._tally.note("endpoint", f"{caught.message}; trying again")
                if now - failing_since >= self._patience[action]:
                    raise Halt(f"{what}: {caught.message}; run again when the endpoint is well")
                await asyncio.sleep(backoff_s(attempt, random.random()))

    def retire_key(self, key_name: str, trouble: Trouble) -> None:
        """The key is dead, as was learned elsewhere."""
        for lane in self._lanes:
            if lane.key_name == key_name:
                self._retire(lane, trouble)

    def _retire(self, lane: Lane, trouble: Trouble) -> None:
        why = trouble.short
        self._lanes.retire(lane.name, why)
        if self._news:
            self._news.is_retired(lane.name, why)
        self._tally.note(f"key {lane.key_name}", f"retired: HTTP {trouble.status}")

    async def _lane(self, key_name: str) -> Lane:
        until = self._clock() + self._keys_patience_s
        while True:
            alive = [lane for lane in self._lanes if lane.retired is None]
            if not alive and self._clock() < until:
                await asyncio.sleep(_KEYS_AGAIN_S)
                continue
            if not alive:
                why = "; ".join(f"{lane.key_name}: {lane.retired}" for lane in self._lanes)
                raise Halt(f"no usable key is left ({why}); put in a working one and run again")
            wanted = [lane for lane in alive if lane.key_name == key_name] or alive
            ready_at = min(lane.ready_at for lane in wanted)
            if ready_at <= self._clock():
                return next(lane for lane in wanted if lane.ready_at == ready_at)
            await asyncio.sleep(max(0.001, ready_at - self._clock()))

    async def close(self) -> None:
        if self._news:
            await self._news.close()


async def _nothing() -> None:
    """Who waits here looks again by itself."""
