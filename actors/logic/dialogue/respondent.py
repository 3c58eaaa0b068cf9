"""Who answers: the assistant, with its instructions and what it is given to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.logic.dialogue.faults import clean, refuses, speaks_for_the_other, speaks_of_itself
from actors.logic.dialogue.speaking import Ask, Voice, say
from actors.logic.dialogue.turns import Turn, plain
from actors.prompts import load, render
from cluster.chat import ChatAnswer, Role, Usage

REFUSES = "refuses to answer"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the assistant has done: one message, or calls of tools, what these said, and a message. `system` is the
    system message that it rests on, `context_ids` name what was looked up for it."""

    turns: list[Turn]
    system: str
    model: str
    usage: Usage
    context_ids: tuple[str, ...] = ()


class Answers(Protocol):
    """Who answers the user's message, which is the last of `turns`."""

    async def answer(self, voice: Voice, turns: Sequence[Turn], step: str) -> Reply: ...


@dataclass(frozen=True, slots=True)
class Respondent:
    """The assistant; `system` is its system message. A small model's answer is cut after its last whole sentence."""

    system: str
    small_model: bool = False
    role: Role = Role.RESPONDENT

    @property
    def cuts(self) -> bool:
        return self.small_model

    async def answer(self, voice: Voice, turns: Sequence[Turn], step: str) -> Reply:
        """To the user's message, which is the last of `turns`. Raises as `say` does."""
        said = await say(voice, self, turns, step)
        return Reply([Turn("assistant", said.text)], self.system, said.model, said.usage)

    def ask(self, turns: Sequence[Turn]) -> Ask:
        messages = plain([Turn("system", self.system), *turns])
        return Ask(messages, 0.3 if self.small_model else 0.7)  # above it a small model loses itself

    def text(self, answer: ChatAnswer) -> str:
        whole = answer.finish_reason != "length" or not self.small_model
        return clean(answer.text if whole else answer.text[: answer.text.rfind(". ") + 1])

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        if speaks_for_the_other(text):
            return "speaks for the user"
        if refuses(text):
            return REFUSES
        return "speaks of itself as a model" if speaks_of_itself(text) else None


def with_document(prompt: str, document: str) -> str:
    """The system message of an assistant that has the document at hand."""
    [message] = render(load("respondent_context"), respondent_prompt=prompt, document=document)
    return message["content"]


def with_persona(system: str, persona: str) -> str:
    """The system message of an assistant that knows who asks."""
    [message] = render(load("respondent_persona"), system=system, persona=persona)
    return message["content"]
