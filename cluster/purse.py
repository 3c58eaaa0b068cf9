"""One caller's side of the budget: reserves the worst case of a call, settles what it cost, and asks the broker for
more. Whether there is more is the broker's to say."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayActorError

from cluster.budget import ROUNDING, Lease
from cluster.chat import ChatAnswer, ChatRequest
from cluster.errors import Halt
from cluster.keys import Endpoint
from cluster.spending import prompt_tokens, worst_cost

log = logging.getLogger(__name__)

_BEAT_S = 0.5
_ASK_AGAIN_S = 0.2


@dataclass(slots=True)
class Purse:
    """One caller's money: what it was leased, less what it spent, gave back, and reserved for calls on the wire."""

    leased: float = 0.0
    spent: float = 0.0
    returned: float = 0.0
    reserved: float = 0.0

    @property
    def free(self) -> float:
        return self.leased - self.spent - self.returned - self.reserved

    @property
    def is_empty(self) -> bool:
        """Nothing is leased that could still be spent or given back."""
        return self.reserved <= ROUNDING and self.free <= ROUNDING

    def covers(self, cost: float) -> bool:
        return cost <= self.free + ROUNDING

    def reserve(self, cost: float) -> None:
        self.reserved += cost

    def settle(self, reserved: float, paid: float) -> None:
        """A call ended: `paid` of what was `reserved` for it is spent, the rest is free again."""
        self.reserved -= reserved
        self.spent += paid

    def give_back(self) -> None:
        """Let go of what is free; it counts as given back once the ledger has booked it."""
        self.returned += max(0.0, self.free)

    def missing(self, cost: float) -> float:
        """What has to be leased for a call of this cost. More than the cost where earlier calls ate into what is
        reserved for others; what they cost beyond all that was leased, the ledger books by itself."""
        overdrawn = max(0.0, self.spent + self.returned - self.leased)
        return max(ROUNDING, cost - self.free - overdrawn)


class LeasedSpending:
    """A purse that the broker fills, in blocks of many calls. Use from one event loop only.

    While anything is leased it reports twice a second, which also says that this caller lives; what lay unused for a
    beat, or is needed elsewhere, goes back.
    """

    def __init__(self, broker: Any, endpoints: Sequence[Endpoint], limit_usd: float) -> None:
        self._broker, self._limit = broker, limit_usd
        self._endpoints = endpoints
        self._holder, self._purse = uuid.uuid4().hex, Purse()
        self._asking = asyncio.Lock()
        self._beat: asyncio.Task[None] | None = None
        self._used = False
        self._refused, self._refusal = float("inf"), ""  # the cost for which there will never be enough again
        self._growth = 1.0  # how far prompts were longer, in tokens, than they were taken for

    def worst(self, request: ChatRequest) -> float:
        """USD that the request may cost at the dearest endpoint."""
        return worst_cost(request, self._endpoints, self._growth)

    def covers(self, cost: float) -> bool:
        return self._purse.covers(cost)

    async def fill(self, cost: float) -> None:
        """Returns when the purse may cover `cost`. `Halt` when nothing that is held anywhere could still cover it."""
        async with self._asking:
            while not self._purse.covers(cost):
                if cost >= self._refused:
                    raise Halt(self._refusal)
                self._purse.give_back()
                lease = await self._tell(self._purse.missing(cost))
                if self._purse.covers(cost):
                    return
                if not lease.more_later:
                    self._refused, self._refusal = cost, self._words(cost, lease)
                    raise Halt(self._refusal)
                await asyncio.sleep(_ASK_AGAIN_S)

    def _words(self, cost: float, lease: Lease) -> str:
        return (
            f"the budget of ${self._limit:,.10g} is spent: ${max(0.0, lease.left):,.6f} of it is left, and the next "
            f"call may cost ${cost:,.6f}; raise llm.budget_usd and run again"
        )

    def reserve(self, cost: float) -> None:
        self._purse.reserve(cost)
        self._used = True
        if self._beat is None or self._beat.done():
            self._beat = asyncio.get_running_loop().create_task(self._report())

    def settle(self, reserved: float, request: ChatRequest, answer: ChatAnswer) -> None:
        """The call was answered. Where the endpoint told no tokens, it cost what it may have cost at worst."""
        usage = answer.usage
        told = usage.prompt_tokens + usage.completion_tokens > 0
        self._purse.settle(reserved, usage.cost_usd if told else reserved)
        self._growth = max(self._growth, usage.prompt_tokens / max(1, prompt_tokens(request)))

    def release(self, reserved: float, may_be_paid: bool) -> None:
        """The call was not answered; where it may have been paid for all the same, it counts as paid."""
        self._purse.settle(reserved, reserved if may_be_paid else 0.0)

    async def _report(self) -> None:
        try:
            idle = False
            while not idle:
                await asyncio.sleep(_BEAT_S)
                was_empty = self._purse.is_empty
                await self._report_once()
                idle = was_empty and self._purse.is_empty
        except Halt as halt:  # the next call that needs money meets it too
            log.warning("spending is not reported: %s", halt)

    async def _report_once(self) -> None:
        async with self._asking:
            if not self._used:
                self._purse.give_back()
            self._used = False
            if (await self._tell(0.0)).scarce:
                self._purse.give_back()

    async def _tell(self, needed: float) -> Lease:
        try:
            lease: Lease = await self._broker.lease.remote(
                self._holder, self._purse.spent, self._purse.returned, needed
            )
        except RayActorError:
            raise Halt("the key broker of this run was lost; run again") from None
        self._purse.leased = lease.leased
        return lease
