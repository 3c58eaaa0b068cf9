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
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError

from cluster.program import Outcome, Program

log = logging.getLogger(__name__)

T = TypeVar("T")


def took_over() -> bool:
    """Whether this actor's process takes the place of one that died."""
    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


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
    """A client of the callers; every process that sends programs makes one from the same handles.

    `again` is set where this process itself takes the place of one that died, whose programs are now sent again.
    """

    def __init__(self, handles: Sequence[Any], again: bool = False) -> None:
        self._members = [_Member(handle) for handle in handles]
        self._again = again
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, program: Program[T]) -> Outcome:
        """The program's outcome, whichever caller served it and however many of them died."""
        work = _Work(cast(Program[object], program), asyncio.get_running_loop().create_future(), self._again)
        self._enqueue(work)
        return await work.outcome

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
            stream = member.handle.run.options(num_returns="streaming").remote(programs, again)
            async for reference in stream:
                for index, outcome in await reference:
                    if not batch[index].outcome.done():
                        batch[index].outcome.set_result(outcome)
        except (ActorDiedError, ActorUnavailableError, RayActorError) as error:
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
