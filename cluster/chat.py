"""What a model call is: the request, the answer, and the two-sided seam between programs and models.

A program asks a `ChatModel`; it does not know which key, endpoint or attempt served it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cluster.tool_calls import ToolCall, Tools

Message = Mapping[str, object]
"""As OpenAI has it: `role`, `content`, and of those about tools `tool_calls` and `tool_call_id`."""


def words_of(message: Message) -> str:
    """What a message says; empty where it only calls tools."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


class Role(StrEnum):
    """Who the model plays; each role may have a model of its own."""

    PERSONA = "persona"
    CORRESPONDENT = "correspondent"
    RESPONDENT = "respondent"
    JUDGE = "judge"
    TOOL = "tool"


class ToolChoice(StrEnum):
    """Whether an answer may, has to, or must not call tools."""

    AUTO = "auto"
    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the endpoint counted them, and dollars where the price is known."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0

    def counts(self) -> dict[str, float]:
        """Under the names of the counters."""
        return {
            "calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cost_usd": self.cost_usd,
        }

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost_usd + other.cost_usd,
        )


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call. `item` says whose call it is (document/persona/turn/attempt): two equal requests of different items
    are two calls, the same request of the same item is one, however often the run is started. `model` is who is to
    answer, where that is not the role's; `tools` are those that the answer may call."""

    role: Role
    messages: Sequence[Message]
    item: str
    max_tokens: int
    temperature: float
    seed: int
    schema: Mapping[str, object] | None = None
    model: str | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice = ToolChoice.AUTO

    def canonical(self) -> dict[str, object]:
        """The request without its item, as it is hashed for the journal; shares what is in it."""
        content = {
            "role": self.role,
            "messages": self.messages,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "schema": self.schema,
        }
        if self.tools:
            content |= {"tools": self.tools, "tool_choice": self.tool_choice}
        return content | ({"model": self.model} if self.model else {})


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What came back: a text, calls of tools, or both. `finish_reason` is the endpoint's own word; `usage` covers this
    call alone."""

    text: str
    model: str
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    tool_calls: tuple[ToolCall, ...] = ()

    def record(self) -> dict[str, object]:
        """As it stands in the journal."""
        calls = {"tool_calls": [one.as_message() for one in self.tool_calls]} if self.tool_calls else {}
        return {
            "text": self.text,
            "model": self.model,
            "finish_reason": self.finish_reason,
            "usage": self.usage.counts(),
            **calls,
        }


Bring = Callable[[], Awaitable[Mapping[str, object]]]
"""Gets what can be kept as JSON. What it raises is not kept."""


class ChatModel(Protocol):
    """Answers requests. Raises `CallFailed` when the item is lost, `Halt` when the run cannot go on."""

    async def answer(self, request: ChatRequest) -> ChatAnswer: ...

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        """What others than a model say to what is `asked` for an item. `bring` gets it, once: from then on it is what
        it was, also for who comes again after a crash."""

    async def catch_up(self) -> None:
        """From now on find what other processes have paid for meanwhile; asked for after one of them died."""

    async def stop(self, reason: str) -> None:
        """From now on nothing is paid: who has nothing on the wire yet gets a `Halt` of this reason."""

    async def close(self) -> None: ...


class ScriptedChat:
    """A model whose answers are a function of the request: for tests, and for measuring everything but the model."""

    def __init__(self, script: Callable[[ChatRequest], str | Awaitable[str]], model: str = "scripted") -> None:
        self._script, self._model = script, model

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        said = self._script(request)
        text = said if isinstance(said, str) else await said
        size = sum(len(words_of(message)) for message in request.messages)
        return ChatAnswer(text, self._model, usage=Usage(1, size // 4, len(text) // 4))

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        return await bring()

    async def catch_up(self) -> None:
        return None

    async def stop(self, reason: str) -> None:
        return None

    async def close(self) -> None:
        return None
