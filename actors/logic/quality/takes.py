"""The programs that a dialogue is made by where it may have to be made again: its opening, and what follows it."""

from __future__ import annotations

from dataclasses import dataclass

from actors.logic.dialogue import Conversation, Dialogue
from actors.logic.dialogue.speaking import Said
from actors.logic.dialogue.tool_respondent import Uncalled
from actors.logic.quality.judging import judge
from actors.logic.quality.notes import Notes
from actors.logic.quality.rubric import Rating
from cluster.chat import ChatModel, Usage
from cluster.errors import CallFailed


@dataclass(frozen=True, slots=True)
class QualityRule:
    """How a dialogue comes to be kept. `attempts` are made while the best is below `threshold`, each of `candidates`;
    `rubric` is the user's own."""

    judged: bool = False
    threshold: float = 0.0
    attempts: int = 1
    candidates: int = 1
    rubric: str = ""

    @property
    def decides(self) -> bool:
        """Whether scores refuse or choose; else they are noted alone."""
        return self.judged and (self.threshold > 0 or self.candidates > 1)


@dataclass(frozen=True, slots=True)
class Opening:
    """The program of an opening: try `number` of an attempt."""

    dialogue: Dialogue
    notes: Notes
    attempt: int
    number: int

    @property
    def item_id(self) -> str:
        return self.dialogue.item_id

    @property
    def ids(self) -> dict[str, str]:
        return self.dialogue.ids

    async def run(self, chat: ChatModel) -> Said:
        place = _place(attempt=self.attempt, opening=self.number)
        return await self.dialogue.open(self.dialogue.voice(chat, *place, notes=self.notes))


@dataclass(frozen=True, slots=True)
class Take:
    """The program of what follows the opening of this `number`, and of its judging. A judge that fails loses no
    dialogue."""

    dialogue: Dialogue
    rule: QualityRule
    notes: Notes
    opening: Said
    attempt: int
    number: int
    candidate: int

    @property
    def item_id(self) -> str:
        return self.dialogue.item_id

    @property
    def ids(self) -> dict[str, str]:
        return self.dialogue.ids

    async def run(self, chat: ChatModel) -> Made | Idle:
        place = _place(attempt=self.attempt, opening=self.number, candidate=self.candidate)
        voice = self.dialogue.voice(chat, *place, notes=self.notes)
        try:
            made = await self.dialogue.talk(voice, self.opening)
        except Uncalled as failure:
            return Idle(failure.attempts, failure.usage)
        if not self.rule.judged:
            return Made(made, self.attempt)
        try:
            rating = await judge(voice, self.dialogue, made.turns, self.rule.rubric)
        except CallFailed as failure:
            return Made(made, self.attempt, failure=failure)
        return Made(made, self.attempt, rating)


@dataclass(frozen=True, slots=True)
class Idle:
    """A take whose opening brought no call of a tool, though there were so many `attempts`."""

    attempts: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class Made:
    conversation: Conversation
    attempt: int
    rating: Rating | None = None
    failure: CallFailed | None = None

    @property
    def usage(self) -> Usage:
        return self.conversation.usage + (self.rating.usage if self.rating else Usage())

    @property
    def overall(self) -> float:
        return self.rating.overall if self.rating else -1.0


def _place(**numbers: int) -> list[str]:
    """Where the messages of a later attempt, opening or candidate are asked for: below the dialogue's own place, which
    is that of the first ones."""
    return [f"{name}{number}" for name, number in numbers.items() if number > 1]
