"""How good a dialogue is, which of several is kept, and how far it sounds like its persona."""

from actors.logic.quality.judging import judge, judge_sha
from actors.logic.quality.refusal import Refusal, Refused, Why
from actors.logic.quality.rubric import CRITERIA, Rating, own_rubric
from actors.logic.quality.selection import Gate, Quest, Selection, select
from actors.logic.quality.takes import QualityRule

__all__ = [
    "CRITERIA",
    "Gate",
    "QualityRule",
    "Quest",
    "Rating",
    "Refusal",
    "Refused",
    "Selection",
    "Why",
    "judge",
    "judge_sha",
    "own_rubric",
    "select",
]
