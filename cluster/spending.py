"""What a model call may cost at worst, and the seam through which a chat model asks whether it may be spent.

Knows no price list, no broker and no Ray.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from cluster.chat import ChatAnswer, ChatRequest
from cluster.keys import Endpoint

_BYTES_PER_TOKEN, _TOKENS_PER_MESSAGE = 3, 8


class Spending(Protocol):
    """What `PaidChat` asks about money. `reserve` never waits: it follows a `covers` in the same turn of the loop."""

    def worst(self, request: ChatRequest) -> float: ...

    def covers(self, cost: float) -> bool: ...

    async def fill(self, cost: float) -> None: ...

    def reserve(self, cost: float) -> None: ...

    def settle(self, reserved: float, request: ChatRequest, answer: ChatAnswer) -> None: ...

    def release(self, reserved: float, may_be_paid: bool) -> None: ...


class Unlimited:
    """No budget: every call is covered, nothing is counted, nobody is asked."""

    def worst(self, request: ChatRequest) -> float:
        return 0.0

    def covers(self, cost: float) -> bool:
        return True

    async def fill(self, cost: float) -> None:
        return None

    def reserve(self, cost: float) -> None:
        return None

    def settle(self, reserved: float, request: ChatRequest, answer: ChatAnswer) -> None:
        return None

    def release(self, reserved: float, may_be_paid: bool) -> None:
        return None


def worst_cost(request: ChatRequest, endpoints: Iterable[Endpoint], growth: float = 1.0) -> float:
    """USD that the request may cost at the dearest endpoint, its prompt being `growth` times what it is taken for."""
    prompt = int(growth * prompt_tokens(request)) + 1
    prices = [one.price_for(one.model_for(request.role, request.model)) for one in endpoints]
    return max((price.cost(prompt, request.max_tokens) for price in prices if price), default=0.0)


def prompt_tokens(request: ChatRequest) -> int:
    """About the most tokens that the prompt of a request has: a third of its bytes, which bounds most scripts."""
    texts = [said if isinstance(said, str) else str(said or "") for one in request.messages for said in one.values()]
    texts += [str(extra) for extra in (request.schema, request.tools) if extra]
    return sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * len(request.messages)
