"""Why a dialogue, or a candidate for one, is not in the dataset; a row of `rejected_conversations/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from actors.logic.dialogue import Turn
from actors.logic.quality.rubric import Rating


class Why(StrEnum):
    """The column `reason`."""

    JUDGE = "judge"  # below the threshold
    CANDIDATE = "candidate"  # good enough, but another one was better
    UNJUDGED = "unjudged"  # the judge gave no score, as it did for another one
    OPENING = "opening"  # too near to the opening of another dialogue
    COHERENCE = "coherence"  # the opening is too far from the persona


@dataclass(frozen=True, slots=True)
class Refusal:
    """An opening that cannot stand: `score` is a cosine, with the opening of the neighbour or with the persona."""

    why: Why
    score: float
    neighbour_id: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """What was said before it was refused, at which attempt."""

    turns: Sequence[Turn]
    why: Why
    attempt: int
    rating: Rating | None = None
    score: float | None = None
    neighbour_id: str | None = None
