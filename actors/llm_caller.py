"""The actor that talks to models: takes programs, runs them concurrently, tells their outcomes as they finish."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from cluster.chat import ChatModel
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.meter import Tally
from cluster.named import Named
from cluster.program import Done, Failed, Halted, Outcome, Program, ids_of
from cluster.run_log import about
from cluster.tracing import TracedChat, Traces, Tracing, open_tracing

log = logging.getLogger(__name__)

GATHER_S = 0.05  # between two tellings to one client: each costs both sides as much as some calls do
POLL_S = 10.0


@dataclass(slots=True)
class _Client:
    """What runs for one client, and what it has not been told yet."""

    running: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    finished: list[tuple[int, Outcome]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    told: float = 0.0


class LLMCaller:
    """One process of the caller pool. `make_chat` builds the model inside it, on its first call and its own loop.

    A client is an actor that sends programs, by its id. It takes up what it sent with `take` and asks for outcomes with
    `finished`; both name the life of this process, so that the client knows what went down with an earlier one.
    """

    def __init__(
        self, make_chat: Callable[[Tally], ChatModel], meter: Named | None = None, traces: Traces | None = None
    ) -> None:
        self._make_chat, self._tally = make_chat, Tally(meter.handle() if meter else None)
        self._tracing: Tracing | None = open_tracing(traces) if traces else None
        self._chat: ChatModel | None = None
        self._life = uuid.uuid4().hex
        self._clients: defaultdict[str, _Client] = defaultdict(_Client)
        self._halted = ""

    async def take(self, programs: Sequence[tuple[int, Program[object]]], again: bool = False, client: str = "") -> str:
        """Start programs, each under the client's number for it. A slow one delays itself alone.

        `again` says that they may have been run before, in part, by or for a process that died.
        """
        if again:
            with suppress(Halt):  # each program meets it again, and says so
                await self._model().catch_up()
        mine = self._clients[client]
        for number, program in programs:
            mine.running[number] = asyncio.create_task(self._run(mine, number, program))
        return self._life

    async def finished(self, client: str = "") -> tuple[str, list[tuple[int, Outcome]]]:
        """Outcomes that the client has not been told, each with its number, in the order in which they came; waits for
        one, and tells none after POLL_S."""
        mine, loop = self._clients[client], asyncio.get_running_loop()
        with suppress(TimeoutError):
            await asyncio.wait_for(mine.news.wait(), POLL_S)
        await asyncio.sleep(max(0.0, mine.told + GATHER_S - loop.time()))
        mine.told, mine.finished, finished = loop.time(), [], mine.finished
        mine.news.clear()
        return self._life, finished

    async def drop(self, client: str) -> None:
        """Stop the programs of a client that died; calls that are on the wire still end in the journal."""
        if gone := self._clients.pop(client, None):
            for task in gone.running.values():
                task.cancel()

    async def halt(self, reason: str) -> None:
        """End what runs, and all that is still sent, with this reason; calls on the wire still end in the journal."""
        self._halted = reason
        for client in self._clients.values():
            for task in client.running.values():
                task.cancel()

    async def _run(self, client: _Client, number: int, program: Program[object]) -> None:
        try:
            outcome = Halted(self._halted) if self._halted else await self._told(program)
        except asyncio.CancelledError:
            if not self._halted:
                raise
            outcome = Halted(self._halted)
        del client.running[number]
        client.finished.append((number, outcome))
        client.news.set()

    async def _told(self, program: Program[object]) -> Outcome:
        with about(**ids_of(program)):
            work = self._outcome(program)
            outcome = await (self._tracing.follow(program, work) if self._tracing else work)
            if isinstance(outcome, Failed):
                log.warning("given up after %d attempts, %s: %s", outcome.attempts, outcome.kind, outcome.message)
        return outcome

    async def _outcome(self, program: Program[object]) -> Outcome:
        try:
            return Done(await program.run(self._model()))
        except CallFailed as failure:
            return Failed(failure.kind, failure.message, failure.attempts)
        except Halt as halt:
            return Halted(str(halt))
        except Exception as error:  # the boundary: a mistake in one program is that item's failure, not the batch's
            log.exception("program of item %s failed", program.item_id)
            return Failed(FailureKind.BUG, f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-5)}", 1)

    def _model(self) -> ChatModel:
        if self._chat is None:
            chat = self._make_chat(self._tally)
            self._chat = TracedChat(chat, self._tracing) if self._tracing else chat
        return self._chat

    async def load(self) -> int:
        """Programs that run or wait for a permit."""
        return sum(len(client.running) for client in self._clients.values())

    async def flush(self) -> None:
        """Have the meter count all that was done so far."""
        await self._tally.flush()
        if self._tracing:
            await self._tracing.flush()

    async def pid(self) -> int:
        """The process, for tables of memory and for tests that end it."""
        return os.getpid()

    async def close(self) -> None:
        """Send nothing more, keep what is on the wire, and have the meter count it."""
        if self._chat is not None:
            with suppress(Halt):  # whom it concerns has heard it
                await self._chat.close()
        await self._tally.flush()
        if self._tracing:
            await self._tracing.close()
