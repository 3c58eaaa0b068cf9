"""Which dialogue is kept: of several candidates the best, of several attempts the first that is good enough.

An attempt opens once; all its candidates go on from there, so that they differ from the respondent's first answer on.
An attempt whose best is below the threshold is followed by another, opening included, that is told why.

Runs wherever programs can be run: within a caller, or, where openings are checked against those of the whole run, in
the actor that knows who checks them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from actors.logic.dialogue import Conversation, Dialogue, Scene, Turn
from actors.logic.dialogue.speaking import TRIES, Said
from actors.logic.dialogue.tool_respondent import Uncalled
from actors.logic.quality.notes import Notes, notes_from, with_other_opening
from actors.logic.quality.refusal import Refusal, Refused, Why
from actors.logic.quality.rubric import Rating
from actors.logic.quality.takes import Idle, Made, Opening, QualityRule, Take
from cluster.chat import ChatModel, Usage
from cluster.errors import CallFailed
from cluster.program import Program

T = TypeVar("T")

Gate = Callable[[Scene, str], Awaitable[Refusal | None]]
"""Why an opening cannot stand, decided for good; asked again, the answer is the same."""


class Ask(Protocol):
    """Runs a program to its value; raises what the program raises."""

    async def __call__(self, program: Program[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """What became of one dialogue: `kept` is None where it was refused as a whole, for the reason `why`.

    `usage` of what is kept is of all that was paid on the way. `openings` counts those that were written, `gave_away`
    of them those that told who writes, at first or still.
    """

    kept: Conversation | None
    rating: Rating | None
    refused: list[Refused]
    attempts: int
    openings: int
    gave_away: int
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class Quest:
    """The program of one dialogue from its opening to its choice, where nobody checks openings."""

    dialogue: Dialogue
    rule: QualityRule

    @property
    def item_id(self) -> str:
        return self.dialogue.item_id

    @property
    def ids(self) -> dict[str, str]:
        return self.dialogue.ids

    async def run(self, chat: ChatModel) -> Selection:
        return await select(self.dialogue, self.rule, _Here(chat))


async def select(dialogue: Dialogue, rule: QualityRule, ask: Ask, gate: Gate | None = None) -> Selection:
    """Raises `CallFailed` when nothing was made, or nothing could be judged where the judge decides."""
    return await _Search(dialogue, rule, ask, gate).run()


@dataclass(frozen=True, slots=True)
class _Here:
    chat: ChatModel

    async def __call__(self, program: Program[T], /) -> T:
        return await program.run(self.chat)


@dataclass(slots=True)
class _Search:
    """The attempts at one dialogue, one after the other."""

    dialogue: Dialogue
    rule: QualityRule
    ask: Ask
    gate: Gate | None
    made: list[Made] = field(default_factory=list)
    spent: Usage = field(default_factory=Usage)
    opening: Said | None = None
    number: int = 1
    closed: Refused | None = None
    failure: CallFailed | None = None
    openings: int = 0
    gave_away: int = 0

    async def run(self) -> Selection:
        notes: Notes = {}
        for attempt in range(1, self.rule.attempts + 1):
            try:
                found = await self._attempt(attempt, notes)
            except CallFailed as failure:
                self.failure = failure
                continue
            if self.closed or (best := _best(found)) is None or self._is_good(best):
                break
            notes = notes_from(best.rating) if best.rating else notes
        return self._selection(attempt)

    async def _attempt(self, attempt: int, notes: Notes) -> list[Made]:
        """Its candidates; none where no opening could stand. An opening that brings no call of a tool is made anew,
        once. Raises `CallFailed` where none came to its end."""
        if (opening := await self._open(attempt, notes)) is None:
            return []
        try:
            return await self._candidates(attempt, notes, opening)
        except Uncalled:
            told = with_other_opening(notes, opening.text, "uncalled")
        if (opening := await self._open(attempt, told, self.number)) is None:
            return []
        return await self._candidates(attempt, notes, opening)

    async def _candidates(self, attempt: int, notes: Notes, opening: Said) -> list[Made]:
        free = replace(opening, usage=Usage())  # it is paid for once
        takes = range(1, self.rule.candidates + 1)
        ended = await asyncio.gather(
            *(self._take(Take(self.dialogue, self.rule, notes, free, attempt, self.number, one)) for one in takes)
        )
        found = [one for one in ended if isinstance(one, Made)]
        idle = [one for one in ended if isinstance(one, Idle)]
        self.spent = sum((one.usage for one in found), sum((one.usage for one in idle), self.spent))
        if idle and not found:
            self.opening = None  # nobody goes on from it
            raise Uncalled(idle[0].attempts, Usage())
        if not found:
            raise next(one for one in ended if isinstance(one, CallFailed))
        self.made += found
        return found

    async def _take(self, take: Take) -> Made | Idle | CallFailed:
        try:
            return await self.ask(take)
        except CallFailed as failure:
            return failure

    async def _open(self, attempt: int, notes: Notes, after: int = 0) -> Said | None:
        """An opening that can stand, of a number above `after`. A later attempt that finds none goes on from the one
        that there is."""
        tries = TRIES if self.gate and not self.opening else 1
        for number in range(after + 1, after + tries + 1):
            said = await self.ask(Opening(self.dialogue, notes, attempt, number))
            self.spent += said.usage
            if said.model:  # else it is a template
                self.openings, self.gave_away = self.openings + 1, self.gave_away + said.gave_away
            refusal = await self.gate(self.dialogue.scene, said.text) if self.gate else None
            if refusal is None:
                self.opening, self.number = said, number
                break
            notes = with_other_opening(notes, said.text)
            if number == after + tries and self.opening is None and not self.made:
                turns = [Turn("user", said.text)]
                self.closed = Refused(turns, refusal.why, attempt, None, refusal.score, refusal.neighbour_id)
        return self.opening

    def _is_good(self, made: Made) -> bool:
        return not self.rule.decides or made.overall >= self.rule.threshold

    def _selection(self, attempts: int) -> Selection:
        if self.closed:
            return self._refused([self.closed], attempts, self.closed.why)
        if not self.made or (self.rule.decides and not any(one.rating for one in self.made)):
            raise self.failure or next(one.failure for one in self.made if one.failure)
        best = _best(self.made)
        kept = best if best and self._is_good(best) else None
        others = [self._as_refused(one) for one in self.made if one is not kept]
        if kept is None:
            return self._refused(others, attempts, Why.JUDGE)
        conversation = replace(kept.conversation, usage=self.spent)
        return Selection(conversation, kept.rating, others, attempts, self.openings, self.gave_away)

    def _refused(self, refused: list[Refused], attempts: int, why: Why) -> Selection:
        return Selection(None, None, refused, attempts, self.openings, self.gave_away, why)

    def _as_refused(self, made: Made) -> Refused:
        good = Why.CANDIDATE if self._is_good(made) else Why.JUDGE
        return Refused(made.conversation.turns, good if made.rating else Why.UNJUDGED, made.attempt, made.rating)


def _best(made: list[Made]) -> Made | None:
    """The first of the best; one without a score is worse than any."""
    return max(made, key=lambda one: one.overall, default=None)
