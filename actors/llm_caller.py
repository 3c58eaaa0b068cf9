"""The actor that talks to models: runs batches of programs concurrently and hands results back as they finish."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from cluster.chat import ChatModel
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.meter import Tally
from cluster.named import Named
from cluster.program import Done, Failed, Halted, Outcome, Program

log = logging.getLogger(__name__)

GATHER_S = 0.005


class LLMCaller:
    """One process of the caller pool. `make_chat` builds the model inside it, on its first call and its own loop."""

    def __init__(self, make_chat: Callable[[Tally], ChatModel], meter: Named | None = None) -> None:
        self._make_chat, self._tally = make_chat, Tally(meter.handle() if meter else None)
        self._chat: ChatModel | None = None
        self._running: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)

    async def run(
        self, programs: Sequence[Program[object]], again: bool = False, client: str = ""
    ) -> AsyncIterator[list[tuple[int, Outcome]]]:
        """Outcomes with the index of their program, in the order in which they finish, a few together.

        A slow program delays itself alone: there is no barrier at the end of a batch. `again` says that the programs
        may have been run before, in part, by or for a process that died. `client` names the actor that sent them.
        """
        if again:
            with suppress(Halt):  # each program meets it again, and says so
                await self._model().catch_up()
        finished: asyncio.Queue[tuple[int, Outcome]] = asyncio.Queue()

        async def one(index: int, program: Program[object]) -> None:
            outcome: Outcome = Halted("dropped")  # nobody is left to hear it, but the stream has to end
            try:
                outcome = await self._outcome(program)
            finally:
                finished.put_nowait((index, outcome))

        tasks = [asyncio.create_task(one(index, program)) for index, program in enumerate(programs)]
        self._running[client].update(tasks)
        try:
            left = len(tasks)
            while left:
                ready = [await finished.get()]
                await asyncio.sleep(GATHER_S)
                while not finished.empty():
                    ready.append(finished.get_nowait())
                left -= len(ready)
                yield ready
        finally:
            for task in tasks:
                task.cancel()
            self._running[client].difference_update(tasks)

    async def drop(self, client: str) -> None:
        """Stop the programs of a client that died; calls that are on the wire still end in the journal."""
        for task in self._running.pop(client, ()):
            task.cancel()

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
            self._chat = self._make_chat(self._tally)
        return self._chat

    async def flush(self) -> None:
        """Have the meter count all that was done so far."""
        await self._tally.flush()

    async def pid(self) -> int:
        """The process, for tables of memory and for tests that end it."""
        return os.getpid()

    async def close(self) -> None:
        """Send nothing more, keep what is on the wire, and have the meter count it."""
        if self._chat is not None:
            with suppress(Halt):  # whom it concerns has heard it
                await self._chat.close()
        await self._tally.flush()
