"""What a dialogue has to be like to get into the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from actors.logic.quality import QualityRule, own_rubric
from cluster.errors import UserError
from pipelines.settings.section import Section

THRESHOLD, ATTEMPTS = 0.7, 3


class Quality(Section):
    """The part of `conversations` that judges. Nothing is judged unless `judge`, `auto_improve` or several `candidates`
    ask for it."""

    judge: bool = False
    auto_improve: bool = False
    threshold: Annotated[float, Field(ge=0, le=1)] = THRESHOLD
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = ATTEMPTS
    candidates: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    rubric: str | None = None
    min_coherence: Annotated[float, Field(ge=0, le=1)] | None = None
    opening_threshold: Annotated[float, Field(gt=0, le=1)] | None = None

    @property
    def is_judged(self) -> bool:
        return self.judge or self.auto_improve or self.candidates > 1

    @property
    def checks_openings(self) -> bool:
        """Whether openings have to be embedded while their dialogues wait."""
        return self.min_coherence is not None or self.opening_threshold is not None

    @property
    def attempts(self) -> int:
        """At one dialogue."""
        return self.max_attempts if self.auto_improve else 1

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> Quality:
        if self.auto_improve and self.max_attempts == 1:
            raise ValueError("has auto_improve, but max_attempts is 1, which leaves none to improve; set 2 or more")
        if self.auto_improve and not self.threshold:
            raise ValueError("has auto_improve, but threshold is 0, below which nothing is; raise it")
        if not self.auto_improve and self.max_attempts != ATTEMPTS:
            raise ValueError(
                "has max_attempts, which auto_improve alone makes; set auto_improve: true, or leave it out"
            )
        if not self.is_judged and (unused := self._unused()):
            raise ValueError(f"has a {unused}, but nothing is judged; set judge: true, or leave it out")
        return self

    def _unused(self) -> str:
        return "rubric" if self.rubric else "threshold" if self.threshold != THRESHOLD else ""


def quality_rule(chosen: Quality) -> QualityRule:
    """`UserError` where the rubric cannot be read or used."""
    rubric = _rubric(chosen.rubric) if chosen.rubric else ""
    if not chosen.is_judged:
        return QualityRule()
    return QualityRule(True, chosen.threshold, chosen.attempts, chosen.candidates, rubric)


def _rubric(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UserError(f"conversations.rubric: {path}: {reason}") from None
    return own_rubric(text)
