"""Sends programs to the caller actors and awaits their outcomes; the thin Ray edge of the callers.

Programs go to the caller with the least outstanding work. Those of a caller that died are sent again; what they had
paid for is in the journal. Both ways of a pair of processes carry what came together within some milliseconds: a
message through Ray costs as much CPU as several calls (`tests/benchmarks/caller_actors.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import ray
from ray.exceptions import RayActorError

from cluster.named import Fleet, Named
from cluster.program import Outcome, Program

log = logging.getLogger(__name__)

T = TypeVar("T")


BATCH = 64  # programs of a message at most
GATHER_S = 0.05  # between two messages to a caller
_RESEND_PAUSE_S = 0.5
_ASK_AGAIN_S = 1.0  # a caller that was lost, or a fleet


@dataclass(slots=True)
class _Work:
    """A program, and the life of the caller that took it, None until it says so."""

    program: Program[object]
    outcome: asyncio.Future[Outcome]
    again: bool
    life: str | None = None


@dataclass(slots=True)
class _Member:
    """One caller as this client sees it. It gets no program while it is `down`, unless all are, and none any more when
    it is `leaving`."""

    handle: Any
    down: bool = False
    leaving: bool = False
    outstanding: dict[int, _Work] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    sending: bool = False
    sent: float = 0.0
    listening: bool = False


class CallerPool:
    """A client of the callers; every process that sends programs makes one from the same names, or that of a fleet.

    Where that process takes the place of one that died, the callers first drop what the dead one had sent.
    """

    def __init__(self, callers: Sequence[Named]) -> None:
        context = ray.get_runtime_context()
        self._members = [_Member(caller.handle()) for caller in callers if not isinstance(caller, Fleet)]
        self._fleets = [caller.handle() for caller in callers if isinstance(caller, Fleet)]
        self._hired: dict[Named, _Member] = {}
        self._met: asyncio.Future[None] | None = None
        actor = context.get_actor_id()
        self._client = str(actor or context.get_job_id())
        self._again = actor is not None and bool(context.was_current_actor_reconstructed)
        self._dropped: asyncio.Future[Any] | None = None
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, program: Program[T]) -> Outcome:
        """The program's outcome, whichever caller served it and however many of them died."""
        await self._meet()
        await self._drop_predecessors()
        work = _Work(cast(Program[object], program), asyncio.get_running_loop().create_future(), self._again)
        self._enqueue(work)
        return await work.outcome

    async def _meet(self) -> None:
        """Know the callers of a fleet, and hear of those who come and go from then on."""
        if self._fleets:
            if self._met is None:
                self._met = asyncio.get_running_loop().create_future()
                self._start(self._hear(self._fleets[0], self._met))
            await self._met

    async def _hear(self, fleet: Any, met: asyncio.Future[None]) -> None:
        version = None
        while True:
            try:
                version, names = await fleet.members.remote(version)
            except RayActorError as error:
                log.warning("the fleet of callers is lost (%s)", type(error).__name__)
                version = None
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            except BaseException as error:
                if not met.done():
                    met.set_exception(error)
                raise
            self._exchange(names)
            if not met.done():
                met.set_result(None)

    def _exchange(self, names: Sequence[Named]) -> None:
        for name in names:
            if name not in self._hired:
                self._hired[name] = _Member(name.handle())
                self._members.append(self._hired[name])
        for name in self._hired.keys() - set(names):
            member = self._hired.pop(name)
            member.leaving = True
            numbers, member.waiting = member.waiting, []
            for number in numbers:
                if work := member.outstanding.pop(number, None):
                    self._enqueue(work)
        self._members = [one for one in self._members if not one.leaving or one.outstanding]

    async def _drop_predecessors(self) -> None:
        if self._again:
            if self._dropped is None:
                drops = [member.handle.drop.remote(self._client) for member in self._members]
                self._dropped = asyncio.gather(*drops, return_exceptions=True)
            await self._dropped

    def _enqueue(self, work: _Work) -> None:
        member = min(self._members, key=lambda one: (one.leaving, one.down, len(one.outstanding)))
        number = next(self._numbers)
        member.outstanding[number] = work
        member.waiting.append(number)
        if not member.sending:
            member.sending = True
            self._start(self._send(member))
        if not member.listening:
            member.listening = True
            self._start(self._listen(member))

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, member: _Member) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, member.sent + GATHER_S - loop.time()))
        member.sending, member.sent = False, loop.time()
        numbers, member.waiting = member.waiting, []
        for at in range(0, len(numbers), BATCH):
            self._start(self._hand_over(member, numbers[at : at + BATCH]))

    async def _hand_over(self, member: _Member, numbers: list[int]) -> None:
        batch = {number: work for number in numbers if (work := member.outstanding.get(number))}
        programs = [(number, work.program) for number, work in batch.items()]
        again = any(work.again for work in batch.values())
        try:
            life = await member.handle.take.remote(programs, again, self._client)
        except RayActorError as error:
            await self._send_again(member, numbers, error)
        except BaseException as error:
            self._give_up(member, numbers, error)
            raise
        else:
            member.down = False
            for work in batch.values():
                work.life = life

    async def _listen(self, member: _Member) -> None:
        """Hear of outcomes for as long as some are owed."""
        while member.outstanding:
            try:
                life, outcomes = await member.handle.finished.remote(self._client)
            except RayActorError as error:
                taken = [number for number, work in member.outstanding.items() if work.life is not None]
                await self._send_again(member, taken, error)
                continue
            except BaseException as error:
                self._give_up(member, list(member.outstanding), error)
                member.listening = False
                raise
            for number, outcome in outcomes:
                work = member.outstanding.pop(number, None)
                if work and not work.outcome.done():
                    work.outcome.set_result(outcome)
            gone = [number for number, work in member.outstanding.items() if work.life not in (None, life)]
            if gone:
                await self._send_again(member, gone)
        member.listening = False

    async def _send_again(self, member: _Member, numbers: Iterable[int], error: RayActorError | None = None) -> None:
        lost = [work for number in numbers if (work := member.outstanding.pop(number, None))]
        if error is not None:
            log.warning("a caller was lost (%s); %d programs are sent again", type(error).__name__, len(lost))
            self._is_down(member)
            await asyncio.sleep(_RESEND_PAUSE_S)
        for work in lost:
            if not work.outcome.done():
                work.again, work.life = True, None
                self._enqueue(work)

    def _is_down(self, member: _Member) -> None:
        if not member.down:
            member.down = True
            self._start(self._await_return(member))

    async def _await_return(self, member: _Member) -> None:
        """One whose node died may have no place for long; the others have its work meanwhile."""
        while member.down and not member.leaving:
            await asyncio.sleep(_ASK_AGAIN_S)
            try:
                await member.handle.pid.remote()
            except RayActorError:
                continue
            member.down = False

    def _give_up(self, member: _Member, numbers: Iterable[int], error: BaseException) -> None:
        for number in numbers:
            work = member.outstanding.pop(number, None)
            if work and not work.outcome.done():
                work.outcome.set_exception(error)
