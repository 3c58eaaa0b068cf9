"""The judge's call: what it reads of a dialogue, bounded whatever was said, and how its answer becomes a rating."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from actors.logic.dialogue import Dialogue, Turn
from actors.logic.dialogue.speaking import Voice
from actors.logic.quality.rubric import CRITERIA, Assessment, Rating, criteria_text
from actors.logic.sampling import derived_rng
from actors.prompts import load, render
from cluster.chat import ChatRequest, Role
from cluster.errors import CallFailed
from cluster.structured import ask_for

_TOKENS = 1024
_PERSONA, _GIVEN, _MESSAGE, _DIALOGUE = 2_000, 12_000, 4_000, 24_000  # characters that are read at most


async def judge(voice: Voice, dialogue: Dialogue, turns: Sequence[Turn], rubric: str = "") -> Rating:
    """The rating of a dialogue, by the user's own `rubric` if there is one. The judge reads the persona as those know
    it who ask, and what the respondent had: the system message of `turns`, with the document or the passages.

    Raises `CallFailed`, which names the judge, when a second answer is off the scale too.
    """
    try:
        answer = await ask_for(voice.chat, _request(voice, dialogue, turns, rubric), Assessment)
    except CallFailed as failure:
        raise CallFailed(failure.kind, f"the judge: {failure.message}", failure.attempts) from None
    found = {name: getattr(answer.value, name) for name in CRITERIA}
    return Rating(
        {name: one.score for name, one in found.items()},
        {name: one.reason for name, one in found.items()},
        answer.model,
        answer.usage,
    )


def judge_sha(rubric: str) -> str:
    """12 hex digits: the templates that it is asked with."""
    texts = [load("judge").sha, criteria_text(rubric)]
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:12]


def _request(voice: Voice, dialogue: Dialogue, turns: Sequence[Turn], rubric: str) -> ChatRequest:
    item, given = f"{voice.place}/judge", "\n\n".join(turn.content for turn in turns if turn.role == "system")
    said = "\n\n".join(_said(turn) for turn in turns if turn.role != "system")
    return ChatRequest(
        role=Role.JUDGE,
        messages=render(
            load("judge"),
            rubric=criteria_text(rubric),
            persona=_bounded(dialogue.persona, _PERSONA) or "(nobody in particular)",
            given=_bounded(given, _GIVEN) or "(nothing)",
            dialogue=_bounded(said, _DIALOGUE),
        ),
        item=item,
        max_tokens=_TOKENS,
        temperature=0.0,
        seed=derived_rng(voice.seed, item).getrandbits(31),
    )


def _said(turn: Turn) -> str:
    """A turn as text, its calls of tools too."""
    calls = [f"calls {one.name}({one.arguments})" for one in turn.tool_calls]
    said = "\n".join(filter(None, [turn.content, *calls]))
    return f"{turn.role}: {_bounded(said, _MESSAGE)}"


def _bounded(text: str, most: int) -> str:
    """The text, or its beginning and its end."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]}\n[… {len(text) - head - tail:,} characters are left out …]\n{text[-tail:]}"
