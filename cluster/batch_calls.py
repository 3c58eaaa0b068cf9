"""The calls that are under way in batches, and the journal in which they end.

A batch that outlived its process brings answers before anybody asks for them: they go into the journal too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.chat import Bring, ChatAnswer, ChatRequest
from cluster.journal import JournalReader, Writer, call_key, recall
from cluster.meter import Tally


@dataclass(slots=True, eq=False)
class Call:
    """One call, from the first time that it is asked for until it is answered or given up. `reserved` is in USD."""

    key: bytes
    request: ChatRequest
    outcome: asyncio.Future[ChatAnswer]
    wanted: bool
    reserved: float = 0.0
    tries: int = 0


class Calls:
    """By their journal keys, which name them in the files of batches too: an answer finds its call whoever asks again.
    Use from one event loop only."""

    def __init__(self, reader: JournalReader, writer: Writer, tally: Tally) -> None:
        self._reader, self._writer, self._tally = reader, writer, tally
        self._calls: dict[bytes, Call] = {}
        self._catching_up = asyncio.Lock()

    async def kept(self, key: bytes) -> dict[str, object] | None:
        """The journal's record of a call."""
        return await self._reader.get(key)

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        """As `ChatModel.recall`."""
        return await recall(self._reader, self._writer, item, asked, bring)

    def get(self, key: bytes) -> Call | None:
        return self._calls.get(key)

    def new(self, key: bytes, request: ChatRequest, wanted: bool) -> Call:
        """A call that nobody has asked for before; `wanted` tells whether somebody waits."""
        call = Call(key, request, asyncio.get_running_loop().create_future(), wanted)
        call.outcome.add_done_callback(lambda one: one.cancelled() or one.exception())  # perhaps nobody waits
        self._calls[key] = call
        return call

    async def keep(self, call: Call, answer: ChatAnswer) -> None:
        """Into the journal, then to who waits for it; what nobody asked for yet is held until `hand_over`."""
        await self._append(call, answer)
        self._tally.add(**answer.usage.counts())
        if call.wanted:
            self._calls.pop(call.key, None)
        call.outcome.set_result(answer)

    async def _append(self, call: Call, answer: ChatAnswer) -> None:
        await self._writer.append(call.key, call.request.item, answer.record())

    def fail(self, calls: Iterable[Call], error: Exception) -> None:
        """They are given up: who asks for one again begins anew."""
        for call in calls:
            if self._calls.pop(call.key, None) and not call.outcome.done():
                call.outcome.set_exception(error)

    async def sync(self) -> None:
        """What is kept outlives a power cut."""
        await self._writer.close()

    async def hand_over(self, calls: Iterable[Call]) -> None:
        """From here on the journal answers for those that were answered before anybody asked."""
        unasked = [call for call in calls if call.key in self._calls and call.outcome.done()]
        if unasked:
            await self.catch_up()
        for call in unasked:
            self._calls.pop(call.key, None)

    async def catch_up(self) -> None:
        async with self._catching_up:
            await asyncio.to_thread(self._reader.catch_up)


def key_of(request: ChatRequest) -> bytes:
    """The journal's key of a call."""
    return call_key(request.canonical(), request.item)
