"""The chat model that never pays twice: journal first, and every paid answer kept before anybody reads it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cluster.call_notes import note_kept
from cluster.chat import Bring, ChatAnswer, ChatModel, ChatRequest, Usage
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.journal import JournalReader, Writer, call_key, recall
from cluster.run_log import about
from cluster.tool_calls import told_calls

if TYPE_CHECKING:
    from cluster.meter import Tally

log = logging.getLogger(__name__)

_BYTES_PER_TOKEN = 4  # of an answer in the journal, about


class JournaledChat:
    """Writes every answer before anybody reads it, and answers from the journal what was paid for before.

    Where the journal has no room for an answer, or did not take one, nothing more is paid: what is on the wire is still
    tried to be kept, everyone else gets a `Halt`.
    """

    def __init__(self, paid: ChatModel, reader: JournalReader, writer: Writer, tally: Tally) -> None:
        self._paid, self._reader, self._writer, self._tally = paid, reader, writer, tally
        self._catching_up = asyncio.Lock()
        self._on_the_wire: dict[bytes, asyncio.Task[ChatAnswer]] = {}

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        key = call_key(request.canonical(), request.item)
        if (kept := await self._reader.get(key)) is not None:
            note_kept()
            self._tally.add(journal_hits=1)
            return restored(kept)
        if key not in self._on_the_wire:
            task = asyncio.get_running_loop().create_task(self._pay(key, request))
            self._on_the_wire[key] = task
            task.add_done_callback(lambda _: self._on_the_wire.pop(key, None))
        return checked(await asyncio.shield(self._on_the_wire[key]))

    async def _pay(self, key: bytes, request: ChatRequest) -> ChatAnswer:
        """One payment for all who ask at the same time; goes on to the journal though they be cancelled."""
        with self._writer.room_for(_BYTES_PER_TOKEN * request.max_tokens), about(call=key.hex()[:16]):
            answer = await self._paid.answer(request)
            try:
                await self._writer.append(key, request.item, answer.record())
            except Halt as halt:
                await self._paid.stop(str(halt))
                raise
            log.debug("%s answered %d tokens", answer.model, answer.usage.completion_tokens)
        self._tally.add(**answer.usage.counts())
        return answer

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        try:
            return await recall(self._reader, self._writer, item, asked, bring)
        except Halt as halt:
            await self._paid.stop(str(halt))
            raise

    async def catch_up(self) -> None:
        async with self._catching_up:
            await asyncio.to_thread(self._reader.catch_up)

    async def stop(self, reason: str) -> None:
        await self._paid.stop(reason)

    async def close(self) -> None:
        """Sends nothing more, and keeps what is on the wire."""
        await self.stop("the run ends")
        await asyncio.gather(*self._on_the_wire.values(), return_exceptions=True)
        await self._paid.close()
        await self._writer.close()


def restored(kept: dict[str, object]) -> ChatAnswer:
    usage = kept["usage"]
    assert isinstance(usage, dict)
    calls = told_calls(kept.get("tool_calls"))
    return checked(ChatAnswer(str(kept["text"]), str(kept["model"]), str(kept["finish_reason"]), Usage(**usage), calls))


def checked(answer: ChatAnswer) -> ChatAnswer:
    if not answer.text.strip() and not answer.tool_calls:
        kind = FailureKind.TRUNCATED if answer.finish_reason == "length" else FailureKind.EMPTY
        raise CallFailed(kind, f"{answer.model} answered no text (finish_reason {answer.finish_reason})")
    return answer
