"""Follows a batch to its end and decides about each of its calls: answered, failed for good, or into the next batch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from cluster.batch import Batch, Fault, Item, Stage, is_full, trouble_of
from cluster.batch_calls import Call, Calls, key_of
from cluster.batch_client import BatchClient
from cluster.batch_folder import BatchFolder
from cluster.batch_heap import Heaps
from cluster.chat import ChatAnswer, ChatRequest
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.keys import Endpoint, Secret
from cluster.meter import Tally
from cluster.paid_chat import TRIES
from cluster.refusal import read_refusal
from cluster.retry import Action, Trouble, judge, may_be_paid
from cluster.spending import Spending
from cluster.wire import read_answer

log = logging.getLogger(__name__)

_WHOLE_TRIES = 3

_Again = tuple[Call, Trouble | None]
"""A call that its batch did not answer, and why; None: it was not its own fault, and does not count as tried."""


class Follower:
    """Calls that are sent again are given to `put`. Use from one event loop only."""

    def __init__(
        self,
        endpoint: Endpoint,
        folder: BatchFolder,
        client: BatchClient,
        calls: Calls,
        heaps: Heaps[Call],
        put: Callable[[Call], None],
        spending: Spending,
        tally: Tally,
    ) -> None:
        self._endpoint, self._folder, self._client, self._calls = endpoint, folder, client, calls
        self._heaps, self._put, self._spending, self._tally = heaps, put, spending, tally
        self._under_way: set[int] = set()
        self._one_over = asyncio.Condition()
        self._refused_whole = 0
        self._cleaning: set[asyncio.Task[None]] = set()
        self.halted: Halt | None = None

    async def follow(self, batch: Batch, calls: Sequence[Call], adopted: bool) -> None:
        """The batch to its end. `Halt` where it cannot go on, and from then on in `halted`: it stays under way, so that
        none of its calls may be asked for again in this process."""
        self._under_way.add(batch.number)
        try:
            again = await self._end_of(batch, calls, adopted)
        except Halt as halt:
            self.halted = halt
            raise
        except Exception as error:
            log.exception("batch %d", batch.number)
            self.halted = Halt(f"batch {batch.number} cannot go on ({type(error).__name__}: {error}); run again")
            raise self.halted from error
        finally:
            self._client.leave(batch)
            self._under_way.discard(batch.number)
            async with self._one_over:
                self._one_over.notify_all()
        for call, trouble in again:
            self._once_more(call, trouble)

    async def _end_of(self, batch: Batch, calls: Sequence[Call], adopted: bool) -> list[_Again]:
        batch, faults = await self._client.finish(batch, adopted)
        if batch.status == "failed":
            again = await self._refused(batch, calls, faults)
        else:
            again = await self._collect(batch, calls)
        task = asyncio.get_running_loop().create_task(self._client.clean(self._client.collected(batch)))
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)
        return again

    async def _collect(self, batch: Batch, calls: Sequence[Call]) -> list[_Again]:
        """Journals the answers as they arrive; returns the calls that had none."""
        left = {call.key: call for call in calls}
        again: list[_Again] = []

        async def take(item: Item) -> None:
            call = left.pop(item.key, None)  # None: journaled before, in this reading or by a process that died
            trouble = await self._take(batch, call, item) if call else None
            if call and trouble:
                again.append((call, trouble))

        async def take_all(items: Sequence[Item]) -> None:
            await asyncio.gather(*map(take, items))

        if batch.stage is not Stage.COLLECTED:
            await self._client.read(batch, take_all)
            await self._calls.sync()  # before the provider's files go
            self._refused_whole = 0
        await self._calls.hand_over(calls)
        return again + [(call, Trouble(None, "its batch brought no answer")) for call in left.values()]

    async def _take(self, batch: Batch, call: Call, item: Item) -> Trouble | None:
        try:
            answer = self._read(call.request, item)
        except Trouble as trouble:
            if judge(trouble).action is Action.RETIRE:
                self._client.retire_key(batch, trouble)
            return trouble
        self._spending.settle(call.reserved, call.request, answer)
        await self._calls.keep(call, answer)
        return None

    def _read(self, request: ChatRequest, item: Item) -> ChatAnswer:
        if item.status is None:
            raise trouble_of(item)
        if not 200 <= item.status < 300:
            raise read_refusal(item.status, {}, item.body, self._endpoint.base_url, Secret(""), 0.0)
        return read_answer(item.body, request, self._endpoint.model_for(request.role, request.model), self._endpoint)[0]

    async def _refused(self, batch: Batch, calls: Sequence[Call], faults: Sequence[Fault]) -> list[_Again]:
        """What to do with the calls of a batch that failed as a whole, of which nothing was done."""
        if is_full(faults):
            await self._rest(batch, len(calls))
            return [(call, None) for call in calls]
        at_fault = {one.line: one for one in faults if one.line is not None}
        if at_fault:
            keys = await asyncio.to_thread(lambda: [key_of(one) for one in self._folder.requests(batch)])
            found = {key: at_fault[line] for line, key in enumerate(keys, 1) if line in at_fault}
            told = [(call, found.get(call.key)) for call in calls]
            return [(call, Trouble(400, one.message, one.code) if one else None) for call, one in told]
        self._refused_whole += 1
        why = faults[0].message if faults else "it does not say why"
        if self._refused_whole >= _WHOLE_TRIES:
            raise Halt(f"batch {batch.number} was refused as a whole: {why}; run again, or leave out batch: true")
        return [(call, Trouble(503, why)) for call in calls]

    async def _rest(self, batch: Batch, calls: int) -> None:
        """The provider holds all that it takes: until another of our batches is over; alone, this one was too large."""
        self._under_way.discard(batch.number)
        if not self._under_way:
            self._heaps.rule = self._heaps.rule.smaller(calls)
        self._tally.note(f"batch {batch.number}", "the provider holds all that it takes; waiting")
        with suppress(TimeoutError):
            async with self._one_over:
                await asyncio.wait_for(self._one_over.wait(), self._heaps.rule.rest_s)

    def _once_more(self, call: Call, trouble: Trouble | None) -> None:
        """Into the next batch, as long as somebody waits for it and it may still succeed."""
        call.tries += trouble is not None
        verdict = judge(trouble) if trouble else None
        final = verdict is not None and (verdict.action is Action.FAIL or call.tries >= TRIES)
        if call.wanted and not final:
            self._tally.add(retries=1)
            self._put(call)
            return
        self._spending.release(call.reserved, trouble is not None and may_be_paid(trouble))
        message, kind = (trouble.message, verdict.kind) if trouble and verdict else ("", FailureKind.EXHAUSTED)
        self._calls.fail([call], CallFailed(kind, message, call.tries))

    async def cleaned(self, patience_s: float) -> None:
        """Returns when the files of what is collected are gone, or after so many seconds."""
        if self._cleaning:
            await asyncio.wait(self._cleaning, timeout=patience_s)
