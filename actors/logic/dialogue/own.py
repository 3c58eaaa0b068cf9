"""Code of the user's own within a dialogue: who writes its first message, and what the assistant is told.

Knows neither how such code travels nor in which thread it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from actors.logic.dialogue.speaking import Ask, Voice, request
from cluster.chat import Message, Role, Usage


@dataclass(slots=True)
class Asking:
    """A model for code of the user's own: each of its calls has a place of its own in the dialogue, and so is
    journaled, limited and paid like any other."""

    voice: Voice
    role: Role
    step: str
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    calls: int = 0

    async def ask(self, prompt: str | Sequence[Message], temperature: float) -> str:
        messages: Sequence[Message] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        self.calls += 1
        call = request(self.voice, self.role, Ask(messages, temperature), f"{self.step}/{self.calls}")
        answer = await self.voice.chat.answer(call)
        self.usage, self.model = self.usage + answer.usage, answer.model
        return answer.text


class Asks(Protocol):
    """A model as callbacks know it."""

    async def ask(self, prompt: str | Sequence[Message], temperature: float) -> str: ...


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """What a callback has to go by.

    `respondent_prompt` are the assistant's instructions, `document` is the text of all `document_ids`, empty where
    there is none; the persona is None where nobody in particular speaks. `instruction` is the user's first message,
    empty where that is what is asked for. `rng` draws the same for the same dialogue whenever it is made.
    """

    respondent_prompt: str
    conversation_id: str
    document: str
    document_ids: tuple[str, ...]
    persona: str | None
    persona_id: str | None
    persona_generation_depth: int | None
    instruction: str
    rng: Random
    asking: Asks
    loop: asyncio.AbstractEventLoop

    async def ask(self, prompt: str | Sequence[Message], temperature: float = 0.9) -> str:
        """A model's answer to a text, or to messages as OpenAI's API takes them.

        It is in the journal before it is returned, so the same question of the same dialogue is paid once, also over a
        crash. What it raises (`CallFailed` for this dialogue, `Halt` for the run) may pass through the callback.
        """
        return await self.asking.ask(prompt, temperature)

    def ask_sync(self, prompt: str | Sequence[Message], temperature: float = 0.9) -> str:
        """As `ask`, where `generate` is no coroutine function."""
        return asyncio.run_coroutine_threadsafe(self.asking.ask(prompt, temperature), self.loop).result()


class Writes(Protocol):
    """Who writes a first message, or an assistant's system message. Picklable: it travels with each dialogue."""

    @property
    def mark(self) -> str:
        """What tells it from another one, in `prompt_sha`."""

    async def text(self, about: CallbackRequest) -> str:
        """Raises `CallFailed` where there is none."""
