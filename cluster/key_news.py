"""One caller's side of the key board: says what endpoints told it about keys, and hears what they told others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ray.exceptions import RayActorError

from cluster.lanes import Lanes

log = logging.getLogger(__name__)

_ASK_AGAIN_S = 1.0


class KeyNews:
    """Use from one event loop only; what is heard changes `lanes`, and `wake` is called then."""

    def __init__(self, broker: Any, clock: Callable[[], float]) -> None:
        self._broker, self._clock = broker, clock
        self._listening: asyncio.Task[None] | None = None
        self._saying: set[asyncio.Task[None]] = set()

    def listen(self, lanes: Lanes, wake: Callable[[], Awaitable[None]]) -> None:
        """Begin, once. Goes on until `close`."""
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(lanes, wake))

    async def _listen(self, lanes: Lanes, wake: Callable[[], Awaitable[None]]) -> None:
        version = -1
        while True:
            try:
                news = await self._broker.watch.remote(version)
            except RayActorError as error:
                log.warning("no news of keys: the key broker is lost (%s)", type(error).__name__)
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            if news.version == version:
                continue
            version, now = news.version, self._clock()
            if news.keys is not None:
                lanes.exchange(news.keys.generation, news.keys.keys)
            for name, seconds in news.resting.items():
                lanes.rest(name, now + seconds)
            for name, why in news.retired.items():
                lanes.retire(name, why)
            await wake()

    def rests(self, lane: str, seconds: float) -> None:
        """This lane was told to rest for so long."""
        self._say(self._broker.rest, lane, seconds)

    def is_retired(self, lane: str, why: str) -> None:
        """This lane's key was found dead."""
        self._say(self._broker.retire, lane, why)

    def _say(self, method: Any, *what: object) -> None:
        async def say() -> None:
            try:
                await method.remote(*what)
            except RayActorError as error:
                log.warning("the key broker is lost (%s)", type(error).__name__)

        task = asyncio.get_running_loop().create_task(say())
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
