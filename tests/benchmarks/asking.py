"""What the benchmarks of model calls ask: requests of some 0.9 kB each, and programs of them for the callers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cluster.chat import ChatModel, ChatRequest, Role
from cluster.keys import Endpoint, Secret

KEY = "sk-benchmark"
SYSTEM = "You write as the person that you are given, and never say that you do. " * 4
QUESTION = "What of the harbour, the teachers and the price of the tickets should be told to a visitor? " * 6


def messages(number: int) -> list[dict[str, str]]:
    """Some 0.9 kB, each another."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{QUESTION} ({number})"}]


def request(number: int) -> ChatRequest:
    return ChatRequest(Role.RESPONDENT, messages(number), f"item/{number}", 200, 0.9, number)


def endpoint(url: str, in_flight: int) -> Endpoint:
    return Endpoint("benchmark", url, "m", [("key", Secret(KEY))], max_concurrency=in_flight)


@dataclass(frozen=True, slots=True)
class Asking:
    """A program of `calls` calls, one after the other, as a dialogue makes them. Its value: how many were answered."""

    number: int
    calls: int

    @property
    def item_id(self) -> str:
        return f"program/{self.number}"

    async def run(self, chat: ChatModel) -> int:
        answers = [await chat.answer(request(self.number * self.calls + at)) for at in range(self.calls)]
        return sum(bool(answer.text) for answer in answers)
