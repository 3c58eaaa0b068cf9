"""What a dialogue is judged by: four criteria, each a number from 0 to 1 with a reason, and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from actors.prompts import load, own
from cluster.chat import Usage
from cluster.errors import UserError

CRITERIA = ("groundedness", "persona_consistency", "helpfulness", "coherence")


class Criterion(BaseModel):
    """The reason comes first, so that the score follows from it."""

    reason: str
    score: float = Field(ge=0, le=1, allow_inf_nan=False)

    @field_validator("score", mode="before")
    @classmethod
    def _in_scale(cls, value: object) -> object:
        """Nobody knows what scale another number is of, so none is made to fit."""
        number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        if isinstance(value, bool) or (number is not None and not 0 <= number <= 1):
            kind, said = "scale", "{given} is no score: scores are from 0 (worst) to 1 (best), not out of 5, 10 or 100"
            raise PydanticCustomError(kind, said, {"given": str(value)})
        return value


class Assessment(BaseModel):
    """As the judge answers."""

    groundedness: Criterion
    persona_consistency: Criterion
    helpfulness: Criterion
    coherence: Criterion


@dataclass(frozen=True, slots=True)
class Rating:
    """Scores and reasons by criterion, who gave them, and what that cost."""

    scores: Mapping[str, float]
    reasons: Mapping[str, str]
    model: str
    usage: Usage

    @property
    def overall(self) -> float:
        """The mean of the criteria."""
        return round(fmean(self.scores[name] for name in CRITERIA), 6)

    def row(self) -> dict[str, float]:
        """As the column `scores` has it."""
        return {**self.scores, "overall": self.overall}


def criteria_text(own_text: str) -> str:
    """The descriptions of the criteria: the user's own, or ours where that is empty."""
    return own_text or load("judge_rubric").text


def own_rubric(text: str) -> str:
    """A user's own descriptions of the criteria; `UserError` where they cannot be used."""
    prompt = own("conversations.rubric", text, (), ())
    if not prompt.text:
        raise UserError("prompt conversations.rubric is empty; describe the criteria, or leave it out")
    if missing := [name for name in CRITERIA if name not in prompt.text]:
        raise UserError(
            f"prompt conversations.rubric says nothing of {', '.join(missing)}; the criteria are {', '.join(CRITERIA)}"
        )
    return prompt.text.format()
