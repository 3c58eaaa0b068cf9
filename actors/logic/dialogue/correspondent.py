"""Who asks: the persona, put before the model anew at every turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import json_repair

from actors.logic.dialogue.faults import GIVES_AWAY, clean, clean_question, gives_away, speaks_for_the_other
from actors.logic.dialogue.speaking import Ask
from actors.logic.dialogue.turns import Turn
from actors.prompts import load, render
from cluster.chat import ChatAnswer, Role

_STARTS = "What|How|Why|When|Where|Who|Which|Can|Could|Should|Do|Does|Is it|Is there|Is this|Is that|Is the|Is my"
_ONE_QUESTION = {
    "type": "object",
    "properties": {"message": {"type": "string", "pattern": rf"""^({_STARTS}) [^".;:?!\n]+\?$"""}},
    "required": ["message"],
    "additionalProperties": False,
}


_ANYONE = "Somebody who has just read this text."
_SPEAKERS = {"user": "Person", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Correspondent:
    """A persona that asks about a document, or, where that is empty, about its own life. An empty persona is anyone;
    `manner` says more of how all of them ask."""

    persona: str
    document: str
    manner: str = ""
    role: Role = Role.CORRESPONDENT
    cuts: bool = False

    def ask(self, turns: Sequence[Turn]) -> Ask:
        """One message, in which the persona comes first and what is to be written last: a model that is put into a role
        of its own answers as the assistant that it is."""
        if not turns:
            return self.asking(render(load("correspondent_opening"))[0]["content"])
        said = "\n\n".join(f"{_SPEAKERS[turn.role]}: {turn.content}" for turn in turns)
        return self.asking(render(load("correspondent_next"), conversation=said)[0]["content"])

    def asking(self, ask: str) -> Ask:
        """For the message that `ask` describes."""
        who = {"persona": self.persona} if self.persona else {}
        return Ask(render(load(self._who), grounds=self._told(), ask=ask, **who), 0.9)

    def text(self, answer: ChatAnswer) -> str:
        return clean_question(answer.text)

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        if not turns and gives_away(text):
            return GIVES_AWAY
        return "answers for the assistant" if speaks_for_the_other(text) else None

    def shas(self, exchanges: int) -> list[str]:
        """Of the templates that its messages are asked for with, and the manner."""
        names = [self._who, self._grounds, "correspondent_opening", *["correspondent_next"] * (exchanges > 1)]
        return [*(load(name).sha for name in names), *filter(None, [self.manner])]

    def _told(self) -> str:
        about = {"document": self.document} if self.document else {}
        [grounds] = render(load(self._grounds), **about)
        if not self.manner:
            return grounds["content"]
        [manner] = render(load("correspondent_manner"), manner=self.manner)
        return f"{grounds['content']}\n\n{manner['content']}"

    @property
    def _who(self) -> str:
        return "correspondent" if self.persona else "correspondent_anyone"

    @property
    def _grounds(self) -> str:
        return "grounds_document" if self.document else "grounds_life"


@dataclass(frozen=True, slots=True)
class SmallCorrespondent:
    """The same for a small model: it is shown examples, held to one question, and hears the last answer alone."""

    persona: str
    document: str
    role: Role = Role.CORRESPONDENT
    cuts: bool = True

    def ask(self, turns: Sequence[Turn]) -> Ask:
        who = self.persona or _ANYONE
        if turns:
            messages = render(load("correspondent_small_next"), persona=who, answer=turns[-1].content)
        elif self.document:
            messages = render(load("correspondent_small"), persona=who, document=self.document)
        else:
            messages = render(load("correspondent_small_life"), persona=who)
        return Ask(messages, 0.6, _ONE_QUESTION)  # warmer than this, a small model loses itself

    def text(self, answer: ChatAnswer) -> str:
        found = json_repair.loads(answer.text)
        return clean(str(found.get("message", ""))) if isinstance(found, dict) else ""

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        return None

    def shas(self, exchanges: int) -> list[str]:
        """Of the templates that its messages are asked for with."""
        opening = "correspondent_small" if self.document else "correspondent_small_life"
        return [load(name).sha for name in (opening, *["correspondent_small_next"] * (exchanges > 1))]
