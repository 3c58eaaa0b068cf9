"""What is talked about, by whom, and what the assistant knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from actors.logic.dialogue import Context, PersonaIn
from actors.logic.dialogue.tasks import QUESTIONS, TEXTS
from actors.logic.sampling import Sampling
from pipelines.settings.quality import Quality
from pipelines.settings.rag import Rag
from pipelines.settings.stop import Stop
from pipelines.settings.talk_tools import TalkTools

_TALKS = ("persona", "contextual", "tools")
_TURNS = 3


class Conversations(Quality):
    """`strategy` is a talk, a task, or the path of a task's template, which ends in .txt."""

    count: Annotated[int, Field(strict=True, ge=1)] = 1000
    max_turns: Annotated[int, Field(strict=True, ge=1, le=50)] = _TURNS
    strategy: str = "persona"
    tools: TalkTools | None = None
    sampling: Sampling = Sampling.DEPTH_WEIGHTED
    respondent_prompt: str = "You are a helpful assistant."
    correspondent_prompt: str | None = None
    persona_in: PersonaIn = PersonaIn.QUESTION
    answer: bool = True
    context: Context = Context.DOCUMENT
    rag: Rag = Rag()
    num_random_contexts: Annotated[int, Field(strict=True, ge=1, le=20)] = 1
    stop: Stop = Stop()
    max_tokens: Annotated[int, Field(strict=True, ge=16)] = 1024

    @field_validator("strategy")
    @classmethod
    def _known(cls, value: str) -> str:
        known = (*_TALKS, *QUESTIONS, *TEXTS)
        if value in known or value.endswith(".txt"):
            return value
        raise ValueError(f"must be one of {', '.join(known)}, or a template's path (.txt)")

    @model_validator(mode="before")
    @classmethod
    def _as_the_strategy_has_it(cls, values: object) -> object:
        """A task is one question or text and has no document unless told; `contextual` puts nobody before the model."""
        if not isinstance(values, dict):
            return values
        if values.get("strategy") == "contextual":
            return {"persona_in": PersonaIn.NONE, **values}
        is_task = _is_task(values.get("strategy", "persona"))
        return {"max_turns": 1, "context": Context.NONE, **values} if is_task else values

    @model_validator(mode="after")
    def _fit_each_other(self) -> Conversations:
        if not self.answer and (not self.is_task or self.strategy in TEXTS):
            raise ValueError(f"has answer: false, but strategy {self.strategy} is made of answers; leave it out")
        if "rag" in self.model_fields_set and self.context is not Context.RAG:
            raise ValueError(f"has rag, but context is {self.context}; set context: rag, or leave rag out")
        if self.strategy == "contextual" and self.needs_personas:
            raise ValueError(
                f"has persona_in: {self.persona_in}, but strategy contextual puts no persona before the model; leave "
                "it out, or choose strategy persona"
            )
        return self

    @model_validator(mode="after")
    def _has_what_is_compared(self) -> Conversations:
        if self.candidates > 1 and not self.answer:
            raise ValueError("has candidates, which differ in their answers, but answer: false; leave one of them out")
        checks = [name for name in ("opening_threshold", "min_coherence") if getattr(self, name) is not None]
        if checks and self.strategy in TEXTS:
            raise ValueError(f"has {checks[0]}, but strategy {self.strategy} opens with a template; leave it out")
        if self.min_coherence is not None and self.persona_in not in (PersonaIn.QUESTION, PersonaIn.BOTH):
            raise ValueError(f"has min_coherence, but persona_in: {self.persona_in}, so no persona asks; leave it out")
        return self

    @model_validator(mode="after")
    def _tools_where_they_are_used(self) -> Conversations:
        if self.strategy == "tools" and self.tools is None:
            raise ValueError("has strategy: tools, but no tools; name a list of them in conversations.tools.path")
        if self.tools and self.strategy != "tools":
            raise ValueError(f"has tools, but strategy: {self.strategy}; set strategy: tools, or leave tools out")
        return self

    @property
    def is_task(self) -> bool:
        return _is_task(self.strategy)

    @property
    def task(self) -> str:
        """What stands in the column `task`."""
        return "dialogue" if self.strategy == "persona" else Path(self.strategy).stem

    @property
    def calls(self) -> tuple[int, int]:
        """Of the correspondent and of the respondent, for one dialogue whose every message is one at the first try."""
        opening = int(self.strategy not in TEXTS)
        if not self.answer:
            return opening, 0
        return opening + (self.max_turns - 1) * self.candidates, self.max_turns * self.candidates

    @property
    def needs_personas(self) -> bool:
        return self.persona_in is not PersonaIn.NONE


def _is_task(strategy: object) -> bool:
    return isinstance(strategy, str) and strategy not in _TALKS
