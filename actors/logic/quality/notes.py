"""What a next attempt is told of the one before it."""

from __future__ import annotations

from collections.abc import Mapping

from actors.logic.quality.rubric import Rating
from actors.prompts import load, render
from cluster.chat import Role

Notes = Mapping[Role, str]

_CONCERNS = {
    Role.CORRESPONDENT: ("persona_consistency", "coherence"),
    Role.RESPONDENT: ("groundedness", "helpfulness", "coherence"),
}


def notes_from(rating: Rating) -> Notes:
    """The judge's reasons, to each role those that it can do something about."""
    return {role: _note(rating, names) for role, names in _CONCERNS.items()}


def _note(rating: Rating, names: tuple[str, ...]) -> str:
    reasons = "\n".join(f"- {name} ({rating.scores[name]:.2f} of 1): {rating.reasons[name]}" for name in names)
    return render(load("judge_notes"), reasons=reasons)[0]["content"]


def with_other_opening(notes: Notes, refused: str, why: str = "again") -> Notes:
    """The same, and that this is not to be the opening again; `why` names the template that says so."""
    again = render(load(f"opening_{why}"), opening=refused)[0]["content"]
    told = "\n\n".join(filter(None, [notes.get(Role.CORRESPONDENT), again]))
    return {**notes, Role.CORRESPONDENT: told}
