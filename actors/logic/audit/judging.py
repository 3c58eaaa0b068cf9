"""How often the lexicon is right, by a model that reads a sample of the same descriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, create_model

from actors.logic.audit.lexicon import attributes
from actors.logic.audit.statistics import Interval, wilson
from actors.logic.sampling import derived_rng
from actors.prompts import load, render
from cluster.chat import ChatModel, ChatRequest, Role
from cluster.structured import ask_for

UNSAID = "not said"
_TOKENS = 200


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """One description, to be put into groups by the judge model."""

    persona_id: str
    text: str
    seed: int

    @property
    def item_id(self) -> str:
        return f"audit/{self.persona_id}"

    def request(self) -> ChatRequest:
        return ChatRequest(
            role=Role.JUDGE,
            messages=render(load("audit_judge"), persona=self.text, unsaid=UNSAID, groups=_groups()),
            item=self.item_id,
            max_tokens=_TOKENS,
            temperature=0.0,
            seed=derived_rng(self.seed, self.item_id).getrandbits(31),
        )

    async def run(self, chat: ChatModel) -> dict[str, str]:
        """Groups by attribute, of those that are said. Raises `CallFailed`."""
        answer = await ask_for(chat, self.request(), _shape())
        return {name: group for name, group in answer.value.model_dump().items() if group != UNSAID}


@dataclass(frozen=True, slots=True)
class JudgeFigure:
    """An attribute by the lexicon and by the judge, of `personas` that were judged.

    `right` is the share of the lexicon's groups that the judge names too, `found` that of the judge's which the lexicon
    names."""

    attribute: str
    personas: int
    agreed: int
    differed: int
    lexicon_only: int
    judge_only: int
    right: float | None
    right_bounds: Interval
    found: float | None
    found_bounds: Interval


def judge_figures(lexicon: Sequence[Mapping[str, str]], judged: Sequence[Mapping[str, str]]) -> list[JudgeFigure]:
    """For each attribute, from the groups of the same people in the same order."""
    return [_figure(name, lexicon, judged) for name in attributes()]


def _figure(name: str, lexicon: Sequence[Mapping[str, str]], judged: Sequence[Mapping[str, str]]) -> JudgeFigure:
    pairs = [(one.get(name), other.get(name)) for one, other in zip(lexicon, judged, strict=True)]
    agreed = sum(one is not None and one == other for one, other in pairs)
    differed = sum(None not in pair and pair[0] != pair[1] for pair in pairs)
    lexicon_only = sum(one is not None and other is None for one, other in pairs)
    judge_only = sum(one is None and other is not None for one, other in pairs)
    said, there = agreed + differed + lexicon_only, agreed + differed + judge_only
    return JudgeFigure(
        attribute=name,
        personas=len(pairs),
        agreed=agreed,
        differed=differed,
        lexicon_only=lexicon_only,
        judge_only=judge_only,
        right=agreed / said if said else None,
        right_bounds=wilson(agreed, said),
        found=agreed / there if there else None,
        found_bounds=wilson(agreed, there),
    )


@cache
def _groups() -> str:
    return "\n".join(f"- {name}: {'; '.join(attribute.names)}" for name, attribute in attributes().items())


@cache
def _shape() -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (Literal[(*attribute.names, UNSAID)], ...) for name, attribute in attributes().items()
    }
    shape: type[BaseModel] = create_model("Groups", **fields)
    return shape
