"""Who asks: the persona, put before the model anew at every turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import json_repair

from actors.logic.dialogue.faults import clean, gives_away, speaks_for_the_other
from actors.logic.dialogue.speaking import Ask
from actors.logic.dialogue.turns import Turn
from actors.prompts import load, render
from cluster.chat import ChatAnswer, Message, Role

_STARTS = "What|How|Why|When|Where|Who|Which|Can|Could|Should|Do|Does|Is"
_ONE_QUESTION = {
    "type": "object",
    "properties": {"message": {"type": "string", "pattern": rf"""^({_STARTS}) [^".;:?!\n]+\?$"""}},
    "required": ["message"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Correspondent:
    """A persona that asks about a document, or, where that is empty, about its own life."""

    persona: str
    document: str
    role: Role = Role.CORRESPONDENT
    cuts: bool = False

    def ask(self, turns: Sequence[Turn]) -> Ask:
        """The dialogue from the persona's side: its own messages are the assistant's, the last answer asks it on."""
        about = {"document": self.document} if self.document else {}
        [grounds] = render(load(_grounds(self.document)), **about)
        [system] = render(load("correspondent"), persona=self.persona, grounds=grounds["content"])
        messages: list[Message] = [{"role": "system", "content": system["content"]}]
        messages += render(load("correspondent_opening"))
        for turn in turns:
            messages.append({"role": "assistant" if turn.role == "user" else "user", "content": turn.content})
        if turns:
            [ask] = render(load("correspondent_next"))
            messages[-1] = {"role": "user", "content": f"{turns[-1].content}\n\n({ask['content']})"}
        return Ask(messages, 0.9)

    def text(self, answer: ChatAnswer) -> str:
        return clean(answer.text)

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        if not turns and gives_away(text):
            return "introduces itself"
        return "answers for the assistant" if speaks_for_the_other(text) else None

    def prompts(self, exchanges: int) -> list[str]:
        """The names of the templates that its messages are asked for with."""
        names = ["correspondent", _grounds(self.document), "correspondent_opening"]
        return names + ["correspondent_next"] * (exchanges > 1)


def _grounds(document: str) -> str:
    return "grounds_document" if document else "grounds_life"


@dataclass(frozen=True, slots=True)
class SmallCorrespondent:
    """The same for a small model: it is shown examples, held to one question, and hears the last answer alone."""

    persona: str
    document: str
    role: Role = Role.CORRESPONDENT
    cuts: bool = True

    def ask(self, turns: Sequence[Turn]) -> Ask:
        if turns:
            messages = render(load("correspondent_small_next"), persona=self.persona, answer=turns[-1].content)
        elif self.document:
            messages = render(load("correspondent_small"), persona=self.persona, document=self.document)
        else:
            messages = render(load("correspondent_small_life"), persona=self.persona)
        return Ask(messages, 0.6, _ONE_QUESTION)  # warmer than this, a small model loses itself

    def text(self, answer: ChatAnswer) -> str:
        found = json_repair.loads(answer.text)
        return clean(str(found.get("message", ""))) if isinstance(found, dict) else ""

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        return None

    def prompts(self, exchanges: int) -> list[str]:
        """The names of the templates that its messages are asked for with."""
        opening = "correspondent_small" if self.document else "correspondent_small_life"
        return [opening, *["correspondent_small_next"] * (exchanges > 1)]
