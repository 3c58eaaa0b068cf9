"""Sends programs to the caller actors and awaits their outcomes; the thin Ray edge of the callers.

Programs are sent in batches, to the caller with the least outstanding work. Programs of a dead caller are sent again;
what they had paid for is in the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayActorError

from cluster.named import Named
from cluster.program import Outcome, Program

log = logging.getLogger(__name__)

T = TypeVar("T")


BATCH = 64
_RESEND_PAUSE_S = 0.5


@dataclass(slots=True)
class _Work:
    program: Program[object]
    outcome: asyncio.Future[Outcome]
    again: bool


@dataclass(slots=True)
class _Member:
    """One caller as this client sees it."""

    handle: Any
    outstanding: int = 0
    waiting: list[_Work] = field(default_factory=list)
    flush: asyncio.Task[None] | None = None


class CallerPool:
    """A client of the callers; every actor that sends programs makes one from the same names, in its own process.

    Where that process takes the place of one that died, the callers first drop what the dead one had sent.
    """

    def __init__(self, callers: Sequence[Named]) -> None:
        context = ray.get_runtime_context()
        self._members = [_Member(caller.handle()) for caller in callers]
        self._client = str(context.get_actor_id())
        self._again = bool(context.was_current_actor_reconstructed)
        self._dropped: asyncio.Future[Any] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, program: Program[T]) -> Outcome:
        """The program's outcome, whichever caller served it and however many of them died."""
        await self._drop_predecessors()
        work = _Work(cast(Program[object], program), asyncio.get_running_loop().create_future(), self._again)
        self._enqueue(work)
        return await work.outcome

    async def _drop_predecessors(self) -> None:
        if self._again:
            if self._dropped is None:
                drops = [member.handle.drop.remote(self._client) for member in self._members]
                self._dropped = asyncio.gather(*drops, return_exceptions=True)
            await self._dropped

    def _enqueue(self, work: _Work) -> None:
        member = min(self._members, key=lambda one: one.outstanding)
        member.outstanding += 1
        member.waiting.append(work)
        if member.flush is None or member.flush.done():
            member.flush = asyncio.get_running_loop().create_task(self._flush(member))

    async def _flush(self, member: _Member) -> None:
        await asyncio.sleep(0)  # everything that is ready in this turn of the loop travels together
        while member.waiting:
            batch, member.waiting = member.waiting[:BATCH], member.waiting[BATCH:]
            task = asyncio.get_running_loop().create_task(self._send(member, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, member: _Member, batch: list[_Work]) -> None:
        try:
            programs, again = [work.program for work in batch], any(work.again for work in batch)
            stream = member.handle.run.options(num_returns="streaming").remote(programs, again, self._client)
            async for reference in stream:
                for index, outcome in await reference:
                    if not batch[index].outcome.done():
                        batch[index].outcome.set_result(outcome)
        except RayActorError as error:
            log.warning("a caller was lost (%s); its programs are sent again", type(error).__name__)
            await asyncio.sleep(_RESEND_PAUSE_S)
        except BaseException as error:
            for work in batch:
                if not work.outcome.done():
                    work.outcome.set_exception(error)
            raise
        finally:
            member.outstanding -= len(batch)
        for work in batch:
            if not work.outcome.done():
                work.again = True
                self._enqueue(work)
