"""Dialogues that are over as rows of the outputs, and as counts of what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from actors.logic.dialogue import Conversation, Dialogue
from actors.logic.quality import Refused, Selection, judge_sha
from actors.logic.quality.fit import Fit


def conversation_row(
    dialogue: Dialogue, found: Selection, kept: Conversation, fit: Fit | None, rubric: str, now: float
) -> dict[str, object]:
    """A row of CONVERSATIONS."""
    scene, rating = dialogue.scene, found.rating
    judge = judge_sha(rubric) if rating else None
    return {
        "conversation_id": scene.conversation_id,
        "document_id": scene.document_id,
        "document_ids": scene.document_ids,
        "persona_id": scene.persona_id or None,
        "persona": scene.persona or None,
        "persona_generation_depth": scene.persona_generation_depth if scene.persona_id else None,
        "messages": [turn.row() for turn in kept.turns],
        "context_ids": kept.context_ids,
        "tools": dialogue.rule.tools.text if dialogue.rule.tools else None,
        "task": dialogue.rule.name,
        "models": {
            "correspondent": kept.correspondent_model or None,
            "respondent": kept.respondent_model or None,
            "judge": rating.model if rating else None,
        },
        "prompt_sha": {**dialogue.prompt_shas(), "judge": judge},
        "scores": rating.row() if rating else None,
        "reasons": rating.reasons if rating else None,
        "attempts": found.attempts,
        "opening_coherence": fit.opening if fit else None,
        "consistency": fit.consistency if fit else None,
        "usage": asdict(kept.usage),
        "seed": dialogue.rule.seed,
        "created_at": int(now * 1000),
    }


def refused_row(dialogue: Dialogue, refused: Refused, now: float) -> dict[str, object]:
    """A row of REJECTED_CONVERSATIONS."""
    scene, rating = dialogue.scene, refused.rating
    return {
        "conversation_id": scene.conversation_id,
        "document_id": scene.document_id,
        "persona_id": scene.persona_id or None,
        "messages": [turn.row() for turn in refused.turns],
        "task": dialogue.rule.name,
        "scores": rating.row() if rating else None,
        "reason": refused.why,
        "attempt": refused.attempt,
        "created_at": int(now * 1000),
        "reasons": rating.reasons if rating else None,
        "neighbour_id": refused.neighbour_id,
        "score": refused.score,
    }


def counts(found: Sequence[Selection]) -> dict[str, int]:
    """What became of dialogues, by the names of the manifest: "refused judge" … of whole dialogues, "candidates" of
    those that lie in `rejected_conversations/`."""
    total: Counter[str] = Counter()
    for one in found:
        total["attempts"] += one.attempts
        total["openings"] += one.openings
        total["gave_away"] += one.gave_away
        total["candidates"] += len(one.refused)
        if one.why:
            total[f"refused {one.why}"] += 1
    return dict(total)
