"""The chat model that a caller works with: journal first, then a lane of a key, then retries by class of error.

One place owns retrying: the client's own retries are off. Waiting for a permit is never a timeout, and a 429 delays a
call without using up its tries.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Usage
from cluster.errors import CallFailed, FailureKind, Halt
from cluster.journal import JournalReader, Writer, call_key
from cluster.keys import Lane, Lanes, Out, Wait
from cluster.retry import Action, Trouble, Verdict, backoff_s, judge, may_be_paid
from cluster.slots import Ticket
from cluster.spending import Spending, Unlimited, prompt_tokens

if TYPE_CHECKING:
    from cluster.leasing import Leasing
    from cluster.meter import Tally
    from cluster.transport import Transport

log = logging.getLogger(__name__)

TRIES = 5
OUTAGE_PATIENCE_S = 120.0
_BYTES_PER_TOKEN = 4  # of an answer in the journal, about


@dataclass(frozen=True, slots=True)
class _Permit:
    """One call's place on a lane."""

    lane: Lane
    ticket: Ticket | None
    at: float


class PaidChat:
    """Asks endpoints, through lanes. Raises `CallFailed` when this call is lost, `Halt` when no lane is left, nobody
    answered on any of them for `outage_patience_s` seconds, or the budget is spent."""

    def __init__(
        self,
        lanes: Lanes,
        transport: Transport,
        tally: Tally,
        clock: Callable[[], float] = time.monotonic,
        outage_patience_s: float = OUTAGE_PATIENCE_S,
        spending: Spending | None = None,
        leasing: Leasing | None = None,
    ) -> None:
        self._lanes, self._transport, self._tally, self._clock = lanes, transport, tally, clock
        self._patience_s, self._spending = outage_patience_s, spending or Unlimited()
        self._leasing, self._waiting = leasing, 0
        self._waking: set[asyncio.Task[None]] = set()
        self._silent_since: float | None = None
        self._gone = self._stopped = ""
        self._released = asyncio.Condition()

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        tries, worst = 0, self._spending.worst(request)
        tokens = prompt_tokens(request) + request.max_tokens if self._leasing else 0
        while True:
            permit = await self._permit(worst, tokens)
            try:
                answer = await self._transport.send(permit.lane, request)
            except Trouble as trouble:
                self._spending.release(worst, may_be_paid(trouble))
                await self._free(permit, may_be_paid(trouble))
                tries += await self._after(permit, trouble, judge(trouble), tries)
                continue
            except BaseException:
                self._spending.release(worst, may_be_paid=True)
                await self._free(permit, may_be_paid=True)
                raise
            self._spending.settle(worst, request, answer)
            await self._settle(permit, answer, tokens)
            return answer

    async def _permit(self, worst: float, tokens: int) -> _Permit:
        """A lane, counted in flight, and `worst` USD reserved: both in one turn of the loop, or neither."""
        while True:
            if self._stopped or self._gone:
                raise Halt(self._stopped or self._gone)
            if not self._spending.covers(worst):
                await self._fill(worst)
                continue
            now = self._clock()
            chosen = self._lanes.choose(now, tokens)
            if isinstance(chosen, Lane):
                self._spending.reserve(worst)
                permit = _Permit(chosen, chosen.ticket, now)
                if chosen.slots and self._waiting:
                    self._wake_next()
                return permit
            if isinstance(chosen, Out):
                raise Halt(f"no usable key is left ({chosen.reason}); put in a working one and run again")
            if chosen.ask and self._leasing:
                self._leasing.ask(chosen.ask, self._waiting + 1, tokens, self._wake)
            await self._sleep_until(chosen)

    async def _fill(self, worst: float) -> None:
        """Who goes without takes nobody's place along: the next is woken, to be served or to hear the same."""
        try:
            await self._spending.fill(worst)
        except BaseException:
            self._wake_next()
            raise

    def _wake_next(self) -> None:
        """A lease serves many: whoever was served by it wakes the next, who asks for another when it is used up."""
        task = asyncio.get_running_loop().create_task(self._wake())
        self._waking.add(task)
        task.add_done_callback(self._waking.discard)

    async def _sleep_until(self, wait: Wait) -> None:
        self._waiting += 1
        try:
            async with self._released:
                seconds = None if wait.until is None else max(0.001, wait.until - self._clock())
                await asyncio.wait_for(self._released.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._waiting -= 1

    async def _settle(self, permit: _Permit, answer: ChatAnswer, most: int) -> None:
        """Where the endpoint told no tokens, the call used all that it may have."""
        used = answer.usage.prompt_tokens + answer.usage.completion_tokens
        self._lanes.settle(permit.lane, self._clock(), used or (most if permit.ticket else 0), permit.ticket, permit.at)
        self._return_unused(permit.lane)
        self._heard()
        await self._wake(2)  # its own place, and one more where the lane has grown

    async def _free(self, permit: _Permit, may_be_paid: bool) -> None:
        self._lanes.give_back(permit.lane, None if may_be_paid else permit.ticket)
        self._return_unused(permit.lane)
        await self._wake()

    def _return_unused(self, lane: Lane) -> None:
        if self._leasing and lane.slots:
            self._leasing.give_back_soon(lane)

    async def _wake(self, waiters: int = 1) -> None:
        async with self._released:
            self._released.notify(waiters)

    async def _wake_where_out(self, lane: Lane) -> None:
        """When an endpoint goes out, all who wait may be served by a later one, or have to hear that there is none."""
        if self._lanes.is_out(lane.endpoint, self._clock()):
            await self._wake(waiters=sys.maxsize)

    async def _after(self, permit: _Permit, trouble: Trouble, verdict: Verdict, tries: int) -> int:
        """Carry out the verdict; returns 1 if this attempt counts as a try, and raises if it was the last."""
        lane, now = permit.lane, self._clock()
        self._tally.add(**{f"trouble_{verdict.action}": 1})
        if trouble.connected:
            self._heard()
        if verdict.action is Action.COOL:
            until = self._lanes.cool(lane, now, trouble.retry_after_s, permit.at)
            log.info("%s rests %.1f s after 429", lane.key_name, until - now)
            self._tally.add(throttled=1)
            await self._wake_where_out(lane)
            return 0
        if verdict.action is Action.RETIRE:
            self._lanes.retire(lane, f"HTTP {trouble.status}{f' {trouble.code}' if trouble.code else ''}")
            self._tally.note(f"key {lane.key_name}", f"retired: HTTP {trouble.status}")
            await self._wake_where_out(lane)
            return 0
        if verdict.action is Action.OUTAGE:
            self._outage(lane, trouble, now)
            await self._wake_where_out(lane)
            if self._gone:
                raise Halt(self._gone)
            return 0
        if verdict.action is Action.FAIL or tries + 1 >= TRIES:
            raise CallFailed(verdict.kind, trouble.message, tries + 1)
        self._tally.add(retries=1)
        await asyncio.sleep(backoff_s(tries + 1, random.random()))
        return 1

    def _heard(self) -> None:
        if self._silent_since is not None:
            self._silent_since, self._gone = None, ""
            self._tally.note("endpoint", "")

    def _outage(self, lane: Lane, trouble: Trouble, now: float) -> None:
        self._lanes.cool_endpoint(lane, now)
        self._silent_since = now if self._silent_since is None else self._silent_since
        self._tally.note("endpoint", f"nobody answers at {lane.endpoint.base_url}; waiting")
        if now - self._silent_since >= self._patience_s:
            self._gone = f"nobody answers: {trouble.message}; start the endpoint and run again"

    async def catch_up(self) -> None:
        return None

    async def stop(self, reason: str) -> None:
        self._stopped = reason
        await self._wake(waiters=sys.maxsize)

    async def close(self) -> None:
        await self._transport.close()


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
            self._tally.add(journal_hits=1)
            return _restore(kept)
        if key not in self._on_the_wire:
            task = asyncio.get_running_loop().create_task(self._pay(key, request))
            self._on_the_wire[key] = task
            task.add_done_callback(lambda _: self._on_the_wire.pop(key, None))
        return _checked(await asyncio.shield(self._on_the_wire[key]))

    async def _pay(self, key: bytes, request: ChatRequest) -> ChatAnswer:
        """One payment for all who ask at the same time; goes on to the journal though they be cancelled."""
        with self._writer.room_for(_BYTES_PER_TOKEN * request.max_tokens):
            answer = await self._paid.answer(request)
            try:
                await self._writer.append(key, request.item, answer.record())
            except Halt as halt:
                await self._paid.stop(str(halt))
                raise
        self._tally.add(**answer.usage.counts())
        return answer

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


def _restore(kept: dict[str, object]) -> ChatAnswer:
    usage = kept["usage"]
    assert isinstance(usage, dict)
    return _checked(ChatAnswer(str(kept["text"]), str(kept["model"]), str(kept["finish_reason"]), Usage(**usage)))


def _checked(answer: ChatAnswer) -> ChatAnswer:
    if not answer.text.strip():
        kind = FailureKind.TRUNCATED if answer.finish_reason == "length" else FailureKind.EMPTY
        raise CallFailed(kind, f"{answer.model} answered no text (finish_reason {answer.finish_reason})")
    return answer
