"""The chat model that pays: a lane of a key for each call, then retries by class of error.

One place owns retrying: the client's own retries are off. Waiting for a permit is never a timeout, and a 429 delays a
call without using up its tries.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cluster.call_notes import note_attempt, note_status
from cluster.chat import Bring, ChatAnswer, ChatRequest
from cluster.errors import CallFailed, Halt
from cluster.lanes import Lane, Lanes, Out, Permit
from cluster.retry import Action, Trouble, backoff_s, judge, may_be_paid
from cluster.spending import Spending, Unlimited, prompt_tokens

if TYPE_CHECKING:
    from cluster.key_news import KeyNews
    from cluster.leasing import Leasing
    from cluster.meter import Tally
    from cluster.transport import Transport

log = logging.getLogger(__name__)

TRIES = 5
PATIENCE_S = 600.0
_OK = 200  # the one status that brings an answer


class PaidChat:
    """Asks endpoints, through lanes. Raises `CallFailed` when this call is lost, and `Halt` when the budget is spent,
    no key is left, or no endpoint answered for `patience_s` seconds. Keys that can be exchanged are waited for as long.
    """

    def __init__(
        self,
        lanes: Lanes,
        transport: Transport,
        tally: Tally,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
        spending: Spending | None = None,
        leasing: Leasing | None = None,
        news: KeyNews | None = None,
    ) -> None:
        self._lanes, self._transport, self._tally, self._clock = lanes, transport, tally, clock
        self._patience_s, self._spending = patience_s, spending or Unlimited()
        self._leasing, self._news, self._waiting = leasing, news, 0
        self._waking: set[asyncio.Task[None]] = set()
        self._silent_since: float | None = None
        self._keyless_since: float | None = None
        self._gone = self._stopped = ""
        self._noted = False
        self._released = asyncio.Condition()

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        if self._news:
            self._news.listen(self._lanes, self._wake_all)
        worst = self._spending.worst(request)
        tokens = prompt_tokens(request) + request.max_tokens if self._leasing else 0
        lost_on: list[Lane] = []
        while True:
            permit = await self._permit(worst, tokens, lost_on)
            note_attempt(permit.lane.endpoint)
            try:
                answer = await self._transport.send(permit.lane, request)
            except Trouble as trouble:
                note_status(trouble.status)
                self._spending.release(worst, may_be_paid(trouble))
                if await self._is_lost(permit, trouble, len(lost_on)):
                    lost_on.append(permit.lane)
                continue
            except BaseException:
                self._spending.release(worst, may_be_paid=True)
                await self._free(permit, may_be_paid=True)
                raise
            note_status(_OK)
            self._spending.settle(worst, request, answer)
            await self._settle(permit, answer, tokens)
            return answer

    async def _permit(self, worst: float, tokens: int, lost_on: list[Lane]) -> Permit:
        """A lane, counted in flight, and `worst` USD reserved: both in one turn of the loop, or neither."""
        while True:
            if self._stopped or self._gone:
                raise Halt(self._stopped or self._gone)
            if not self._spending.covers(worst):
                await self._fill(worst)
                continue
            chosen = self._lanes.choose(self._clock(), tokens, lost_on)
            if isinstance(chosen, Permit):
                self._spending.reserve(worst)
                if chosen.lane.slots and self._waiting:
                    self._wake_next()
                if self._noted:
                    self._note("")
                return chosen
            if isinstance(chosen, Out):
                await self._sleep_until(self._keyless(chosen))
                continue
            if chosen.ask and self._leasing:
                self._leasing.ask(chosen.ask, self._waiting + 1, tokens, self._wake)
            if chosen.resting and chosen.until and not self._silent_since:
                self._note(f"all rest until {self._time_of_day(chosen.until)}")
            await self._sleep_until(chosen.until)

    def _keyless(self, out: Out) -> float:
        """Until when to wait for another key; `Halt` where none can come, or none came."""
        now = self._clock()
        self._keyless_since = now if self._keyless_since is None else self._keyless_since
        until = self._keyless_since + (self._patience_s if self._news and self._lanes.rotate else 0.0)
        if now >= until:
            raise Halt(f"no usable key is left ({out.reason}); put in a working one and run again")
        self._note(f"none is usable; put a working one into its file before {self._time_of_day(until)}")
        return until

    def _note(self, text: str) -> None:
        self._noted = bool(text)
        if not text:
            self._keyless_since = None
        self._tally.note("keys", text)

    def _time_of_day(self, at: float) -> str:
        return time.strftime("%H:%M:%S", time.localtime(time.time() + at - self._clock()))

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

    async def _sleep_until(self, until: float | None) -> None:
        self._waiting += 1
        try:
            async with self._released:
                seconds = None if until is None else max(0.001, until - self._clock())
                await asyncio.wait_for(self._released.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._waiting -= 1

    async def _settle(self, permit: Permit, answer: ChatAnswer, most: int) -> None:
        """Where the endpoint told no tokens, the call used all that it may have."""
        used = answer.usage.prompt_tokens + answer.usage.completion_tokens
        now = self._clock()
        self._tally.add(call_seconds=max(0.0, now - permit.at))
        self._lanes.answered(permit, now, used or (most if permit.ticket else 0))
        self._return_unused(permit.lane)
        await self._wake(sys.maxsize if self._heard(permit.lane) else 2)  # its own place, and one if the lane has grown

    async def _free(self, permit: Permit, may_be_paid: bool, waiters: int = 1) -> None:
        self._lanes.give_back(permit, may_be_paid)
        self._return_unused(permit.lane)
        await self._wake(waiters)

    def _return_unused(self, lane: Lane) -> None:
        if self._leasing and lane.slots:
            self._leasing.give_back_soon(lane)

    async def _wake(self, waiters: int = 1) -> None:
        async with self._released:
            self._released.notify(waiters)

    async def _wake_all(self) -> None:
        await self._wake(sys.maxsize)

    async def _is_lost(self, permit: Permit, trouble: Trouble, tries: int) -> bool:
        """Carry out the verdict; returns whether this attempt counts as a try, and raises if it was the last."""
        verdict, lane, now = judge(trouble), permit.lane, self._clock()
        self._tally.add(**{f"trouble_{verdict.action}": 1})
        log.info("%s: %s at %s: %s", verdict.action, trouble.short, lane.key_name, trouble.message)
        blamed = reopened = False
        if verdict.action in (Action.OUTAGE, Action.RETRY):
            gone = verdict.action is Action.OUTAGE
            blamed = self._lanes.lost(permit, now, gone, trouble.retry_after_s)
            if blamed:
                self._silent(lane, trouble, now)
        else:
            reopened = self._heard(lane)
        if verdict.action is Action.COOL:
            self._cool(permit, trouble, now)
        elif verdict.action is Action.RETIRE:
            self._retire(lane, trouble)
        # when an endpoint goes out, all who wait may be served by a later one, or have to hear that there is none
        for_all = reopened or self._lanes.is_out(lane.endpoint, now)
        await self._free(permit, may_be_paid(trouble), sys.maxsize if for_all else 1)
        if self._gone:
            raise Halt(self._gone)
        if verdict.action in (Action.COOL, Action.RETIRE) or (blamed and not permit.probe) or not trouble.connected:
            return False
        if verdict.action is Action.FAIL or tries + 1 >= TRIES:
            raise CallFailed(verdict.kind, trouble.message, tries + 1)
        self._tally.add(retries=1)
        await asyncio.sleep(backoff_s(tries + 1, random.random()))
        return True

    def _cool(self, permit: Permit, trouble: Trouble, now: float) -> None:
        before = permit.lane.ready_at
        until = self._lanes.cool(permit, now, trouble.retry_after_s)
        self._tally.add(throttled=1)
        if until > before:
            log.info("%s rests %.1f s after 429", permit.lane.key_name, until - now)
            if self._news:
                self._news.rests(permit.lane.name, until - now)

    def _retire(self, lane: Lane, trouble: Trouble) -> None:
        why = trouble.short
        self._lanes.retire(lane.name, why)
        self._tally.note(f"key {lane.key_name}", f"retired: HTTP {trouble.status}")
        if self._news:
            self._news.is_retired(lane.name, why)

    def _heard(self, lane: Lane) -> bool:
        """An endpoint answered something. Returns whether it had been out until now."""
        if self._silent_since is not None:
            self._silent_since, self._gone = None, ""
            self._tally.note("endpoint", "")
        return self._lanes.heard(lane)

    def _silent(self, lane: Lane, trouble: Trouble, now: float) -> None:
        self._silent_since = now if self._silent_since is None else self._silent_since
        url = lane.endpoint.base_url
        what = f"HTTP {trouble.status} from {url}" if trouble.status else f"nobody answers at {url}"
        self._tally.note("endpoint", f"{what}; waiting")
        if now - self._silent_since >= self._patience_s:
            self._gone = f"{what}: {trouble.message}; start the endpoint and run again"

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        """Keeps nothing: that is for whoever has a journal."""
        return await bring()

    async def catch_up(self) -> None:
        return None

    async def stop(self, reason: str) -> None:
        self._stopped = reason
        await self._wake(waiters=sys.maxsize)

    async def close(self) -> None:
        if self._news:
            await self._news.close()
        await self._transport.close()
