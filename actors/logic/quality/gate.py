"""Checks an opening before the rest of its dialogue is paid for: against its persona, and all other openings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from actors.logic.dialogue import Scene
from actors.logic.near_duplicates import Candidate, Verdict
from actors.logic.quality.fit import Fit, Spoken
from actors.logic.quality.refusal import Refusal, Why

Fits = Callable[[Sequence[Spoken]], Awaitable[list[Fit | None]]]
Admit = Callable[[Sequence[Candidate]], Awaitable[list[Verdict]]]


class OpeningGate:
    """An opening passes whose cosine with the persona is `least` or more, and which `admit` lets in among those of
    other dialogues. Who decides that keeps it by dialogue, so that a run that goes on decides as before."""

    def __init__(self, fits: Fits, least: float | None, admit: Admit | None) -> None:
        self._fits, self._least, self._admit = fits, least, admit

    async def check(self, scene: Scene, opening: str) -> Refusal | None:
        if self._least is not None:
            [fit] = await self._fits([Spoken(scene.persona, [opening])])
            if fit and fit.opening < self._least:
                return Refusal(Why.COHERENCE, fit.opening)
        if self._admit is None:
            return None
        [verdict] = await self._admit([Candidate(scene.conversation_id, opening)])
        if verdict.admitted or verdict.neighbour_id == scene.conversation_id:  # its own of an earlier attempt
            return None
        return Refusal(Why.OPENING, verdict.score or 0.0, verdict.neighbour_id)
