"""The chat model whose calls go through a provider's batches: gathered, sent together at half the price, and awaited.

The first call of each kind goes online, which tells how the endpoint wants to be asked: a batch learns that only when
it is over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cluster.batch import Batch, Rule, Stage
from cluster.batch_calls import Call, Calls, key_of
from cluster.batch_client import BatchClient
from cluster.batch_folder import BatchFolder
from cluster.batch_follower import Follower
from cluster.batch_heap import Heaps
from cluster.call_notes import note_kept
from cluster.chat import Bring, ChatAnswer, ChatModel, ChatRequest
from cluster.dialect import Dialect
from cluster.errors import Halt
from cluster.journal import JournalReader, Writer
from cluster.journaled_chat import checked, restored
from cluster.keys import Endpoint
from cluster.meter import Tally
from cluster.spending import Spending

_CLEANING_S = 10.0
_LOCK_AGAIN_S = 0.2


class BatchChat:
    """Of one endpoint, whose price is that of batches. `online` serves the first call of each kind, at its own price;
    `dialect` tells what was learned from that. Keeps its own journal. Use from one event loop only."""

    def __init__(
        self,
        endpoint: Endpoint,
        folder: BatchFolder,
        client: BatchClient,
        online: ChatModel,
        dialect: Callable[[ChatRequest], Dialect | None],
        reader: JournalReader,
        writer: Writer,
        tally: Tally,
        spending: Spending,
        rule: Rule,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint, self._folder, self._client = endpoint, folder, client
        self._online, self._dialect, self._tally, self._spending = online, dialect, tally, spending
        self._calls = Calls(reader, writer, tally)
        self._heaps = Heaps[Call](rule, self._send_off, clock)
        self._follower = Follower(endpoint, folder, client, self._calls, self._heaps, self._put, spending, tally)
        self._first, self._writing = asyncio.Lock(), asyncio.Lock()
        self._adopting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        if self._adopting is None:
            self._adopting = asyncio.get_running_loop().create_task(self._adopt())
        await asyncio.shield(self._adopting)
        key = key_of(request)
        if (kept := await self._calls.kept(key)) is not None:
            note_kept()
            self._tally.add(journal_hits=1)
            return restored(kept)
        if self._follower.halted:
            raise self._follower.halted
        call = self._calls.get(key)
        if call is None:
            call = self._calls.new(key, request, wanted=True)
            self._spawn(self._enlist(call), [call])
        call.wanted = True
        return checked(await asyncio.shield(call.outcome))

    def _spawn(self, work: Coroutine[Any, Any, None], calls: Sequence[Call]) -> None:
        """A task of ours; if it fails, so do the calls that it is about."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # the boundary: who waits hears of it, also of a mistake of ours
                self._calls.fail(calls, error)

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _enlist(self, call: Call) -> None:
        """Into the next batch, with its worst case reserved; online where it is not known yet how to ask."""
        async with self._first:
            if self._dialect(call.request) is None:
                await self._calls.keep(call, await self._online.answer(call.request))
                return
        worst = self._spending.worst(call.request)
        while not self._spending.covers(worst):
            await self._spending.fill(worst)
        if self._follower.halted:
            raise self._follower.halted
        self._spending.reserve(worst)
        call.reserved = worst
        self._put(call)

    def _put(self, call: Call) -> None:
        self._heaps.put(
            self._endpoint.model_for(call.request.role, call.request.model), call, len(self._client.line(call.request))
        )

    def _send_off(self, model: str, calls: list[Call]) -> None:
        self._spawn(self._send(model, calls), calls)

    async def _send(self, model: str, calls: list[Call]) -> None:
        async with self._writing:
            requests = [call.request for call in calls]
            batch = await asyncio.to_thread(self._folder.begin, model, self._endpoint.base_url, requests)
        await self._follower.follow(batch, calls, adopted=False)

    async def _adopt(self) -> None:
        """Goes on with the batches of a process that died; who asks for one of their calls waits for its batch."""
        while not await asyncio.to_thread(self._folder.lock):
            self._tally.note("batches", "waiting for a process of an earlier session to end")
            await asyncio.sleep(_LOCK_AGAIN_S)
        self._tally.note("batches", "")
        await self.catch_up()
        for batch in await asyncio.to_thread(self._folder.load):
            if batch.base_url != self._endpoint.base_url:
                raise Halt(
                    f"batch {batch.number} of this run is under way at {batch.base_url}; make that llm.endpoints[0] "
                    f"again, or remove batches/{batch.number:05d}.json to pay for its {batch.calls:,} calls again"
                )
            calls = await self._unanswered(batch)
            await self._reserve_for(calls)
            self._spawn(self._follower.follow(batch, calls, adopted=True), calls)

    async def _unanswered(self, batch: Batch) -> list[Call]:
        if batch.stage is Stage.COLLECTED:
            return []
        keyed = await asyncio.to_thread(lambda: [(key_of(one), one) for one in self._folder.requests(batch)])
        return [
            self._calls.new(key, request, wanted=False) for key, request in keyed if await self._calls.kept(key) is None
        ]

    async def _reserve_for(self, calls: list[Call]) -> None:
        """They will be paid, whether or not there is money left for them."""
        for call in calls:
            call.reserved = self._spending.worst(call.request)
        with suppress(Halt):
            await self._spending.fill(sum(call.reserved for call in calls))
        for call in calls:
            self._spending.reserve(call.reserved)

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        return await self._calls.recall(item, asked, bring)

    async def catch_up(self) -> None:
        await self._calls.catch_up()

    async def stop(self, reason: str) -> None:
        """What is in a batch under way is still waited for."""
        self._follower.halted = Halt(reason)
        self._calls.fail(self._heaps.drain(), self._follower.halted)
        await self._online.stop(reason)

    async def close(self) -> None:
        """Batches that are under way stay so. What is collected is cleaned up, in a moment or the next time."""
        for task in self._tasks:
            task.cancel()
        await self._follower.cleaned(_CLEANING_S)
        await self._online.close()
        await self._client.close()
        await self._calls.sync()
        self._folder.release()
