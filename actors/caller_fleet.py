"""The actor that has as many callers as the work of the moment is worth, and tells those who send programs who they
are."""

from __future__ import annotations

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayActorError

from actors.llm_caller import LLMCaller
from cluster.chat import ChatModel
from cluster.meter import Tally
from cluster.named import Named, start
from cluster.sizing import Crowd, Pace, PaceMeter
from cluster.tracing import Traces

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 1.0
_WATCH_S = 20.0
_QUIET_LOOKS = 3  # in a row without a program, until a caller that nobody is told of any more has none on the way


class CallerFleet:
    """Has callers, each with `options`. They are its own: when it dies, they end, and when it is restarted, it starts
    others. One that is too many is told to nobody first, and ends when its programs have."""

    def __init__(
        self,
        namespace: str,
        make_chat: Callable[[Tally], ChatModel],
        meter: Named,
        crowd: Crowd,
        options: Mapping[str, Any],
        traces: Traces | None = None,
    ) -> None:
        self._namespace, self._make_chat, self._meter = namespace, make_chat, meter
        self._traces = traces
        self._crowd, self._options, self._pace = crowd, dict(options), PaceMeter()
        self._tally = Tally(meter.handle())
        self._up: dict[Named, Any] = {}
        self._coming: set[asyncio.Task[None]] = set()
        self._going: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._opening, self._changed = asyncio.Lock(), asyncio.Event()
        self._life, self._version, self._told = uuid.uuid4().hex, 0, ""
        self._halted = ""

    async def members(self, known: tuple[str, int] | None = None) -> tuple[tuple[str, int], list[Named]]:
        """The callers of the moment and their version, once it is another one than `known` or some time has passed."""
        await self._open()
        if known == (self._life, self._version):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _WATCH_S)
        return (self._life, self._version), list(self._up)

    async def size(self) -> int:
        """Callers that are up."""
        return len(self._up)

    async def pid(self) -> int:
        """The process; also says that a caller is up."""
        await self._open()
        return os.getpid()

    async def halt(self, reason: str) -> None:
        """As of `LLMCaller`, of all, and of those that still come."""
        self._halted = reason
        await self._all("halt", reason)

    async def flush(self) -> None:
        """As of `LLMCaller`, of all."""
        await self._all("flush")

    async def close(self) -> None:
        """As of `LLMCaller`, of all; no further one starts."""
        if self._watch:
            self._watch.cancel()
        await self._all("close")

    async def _all(self, method: str, *told: str) -> None:
        await asyncio.gather(*(getattr(one, method).remote(*told) for one in self._up.values()), return_exceptions=True)

    async def _open(self) -> None:
        async with self._opening:
            if self._watch is None:
                await asyncio.gather(*(self._add() for _ in range(self._crowd.bounds.low)))
                self._watch = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            have = len(self._up) + len(self._coming)
            found = self._crowd.wanted(time.monotonic(), have, await self._queue(), await self._measure())
            self._say(found.told)
            for _ in range(found.callers - have):
                self._begin(self._coming, self._come())
            if found.callers < have:
                self._end_one()

    async def _queue(self) -> int:
        """Programs at all callers, those that wait for a permit included."""
        loads = await asyncio.gather(*(one.load.remote() for one in self._up.values()), return_exceptions=True)
        return sum(load for load in loads if isinstance(load, int))

    async def _measure(self) -> Pace:
        try:
            _, totals, _ = await self._meter.handle().snapshot.remote()
        except (RayActorError, ValueError):
            return Pace()
        tokens = totals.get("prompt_tokens", 0.0) + totals.get("completion_tokens", 0.0)
        return self._pace.pace(time.monotonic(), totals.get("calls", 0.0), totals.get("call_seconds", 0.0), tokens)

    def _say(self, told: str) -> None:
        if told != self._told:
            self._told = told
            self._tally.note("callers", told)

    def _begin(self, tasks: set[asyncio.Task[None]], work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _come(self) -> None:
        with suppress(RayActorError):  # the next look tries again
            await self._add()

    async def _add(self) -> None:
        """Returns once it is up, however long its place in the cluster is waited for."""
        named = Named(f"caller-{uuid.uuid4().hex[:8]}", self._namespace)
        caller = start(LLMCaller, named, self._make_chat, self._meter, self._traces, **self._options)
        try:
            await caller.pid.remote()
        except BaseException as error:
            log.warning("a caller did not start: %s", type(error).__name__)
            ray.kill(caller)
            raise
        self._up[named] = caller
        if self._halted:
            caller.halt.remote(self._halted)
        self._tell()

    def _end_one(self) -> None:
        """One that is still on its way, else the one that came last."""
        if self._coming:
            self._coming.pop().cancel()
        elif len(self._up) > self._crowd.bounds.low:
            caller = self._up.pop(next(reversed(self._up)))
            self._tell()
            self._begin(self._going, self._drain(caller))

    async def _drain(self, caller: Any) -> None:
        quiet = 0
        try:
            while quiet < _QUIET_LOOKS:
                await asyncio.sleep(_LOOK_EVERY_S)
                quiet = 0 if await caller.load.remote() else quiet + 1
            await caller.close.remote()
        except RayActorError:
            log.warning("a caller was lost while it drained")
        ray.kill(caller)

    def _tell(self) -> None:
        self._version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
