"""Turns the callbacks of a script into sections of a config, and into what is sent along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.callbacks import (
    BaseInstructionGeneratorCallback,
    BaseRespondentPromptModifierCallback,
    Callback,
    OwnText,
)
from actors.logic.retrieval import OwnRetriever
from actors.tool_functions import GivenFunctions
from cluster.carried import Carried, carry
from cluster.errors import UserError
from pipelines.api.callbacks import (
    OfDocuments,
    ToolCallingInstructionGeneratorCallback,
    WithContextRespondentPromptModifier,
    WithRAGRespondentPromptModifier,
    writes_itself,
)
from pipelines.api.documents import DocumentProvider, InMemoryDocumentProvider, provider_of
from pipelines.api.keys import ApiKey
from pipelines.api.runs import Sections
from pipelines.hooks import Hooks

_RETRIEVER_S = 30.0
_FUNCTION_S = 10.0


@dataclass(frozen=True, slots=True)
class Strategy:
    """Who asks, about what, and what the assistant has at hand. `UserError` where that does not fit together."""

    respondent_prompt: str
    correspondent_prompt: str | None
    asks: BaseInstructionGeneratorCallback | None
    tells: BaseRespondentPromptModifierCallback | None
    auto_improve: bool
    evaluator: str | None

    def __post_init__(self) -> None:
        for value, kind, name in (
            (self.asks, BaseInstructionGeneratorCallback, "instruction_generator_callback"),
            (self.tells, BaseRespondentPromptModifierCallback, "respondent_prompt_modifier"),
        ):
            if value is not None and not isinstance(value, kind):
                raise UserError(f"{name} must be derived from {kind.__name__}, got {_kind(value)}")

    @property
    def api_key(self) -> ApiKey:
        return self.asks.api_key if isinstance(self.asks, OfDocuments) else None

    @property
    def documents(self) -> DocumentProvider:
        """Those of the callback; without one, what the assistant is for is all that there is to talk about."""
        if self.asks is None or self.asks.documents is None:
            return InMemoryDocumentProvider([self.respondent_prompt])
        return provider_of(self.asks.documents)

    @property
    def needs_personas(self) -> bool:
        return self.asks is not None and self.asks.uses_personas

    def sections(self, folder: Path) -> Sections:
        """Of the config; what its files need is written below the folder."""
        talk: Sections = {
            "respondent_prompt": self.respondent_prompt,
            "correspondent_prompt": self.correspondent_prompt,
            "strategy": "persona" if self.needs_personas else "contextual",
            "num_random_contexts": self.asks.num_random_contexts if self.asks else 1,
            "auto_improve": self.auto_improve,
            **self._context(),
        }
        if isinstance(self.asks, ToolCallingInstructionGeneratorCallback):
            talk |= {"strategy": "tools", "tools": {"path": self.asks.path(folder)}}
        roles = {"judge": self.evaluator} if self.evaluator else {}
        if isinstance(self.asks, OfDocuments) and self.asks.model_name:
            roles["correspondent"] = self.asks.model_name
        return {"conversations": talk, "llm": {"roles": roles}, **self._people(folder)}

    def _people(self, folder: Path) -> Sections:
        documents, home = self.documents, self.documents.run_dir
        grown = self.needs_personas and home is not None and documents.has_personas
        if home is not None and grown and home.absolute() != folder.absolute():
            return {"personas": {"reuse": str(home.absolute())}}
        section: Sections = {"documents": documents.section(folder)}
        if documents.target_context_usage_count is not None and self.asks is not None:
            each = -(-documents.target_context_usage_count // self.asks.num_random_contexts)
            section["personas"] = {"target_per_document": each}
        return section

    def _context(self) -> Sections:
        match self.tells:
            case WithRAGRespondentPromptModifier(retriever=retriever, top_k=top_k):
                dotted = {"retriever": retriever} if isinstance(retriever, str) else {}
                return {"context": "rag", "rag": {"top_k": top_k, **dotted}}
            case WithContextRespondentPromptModifier() if not writes_itself(self.tells):
                return {"context": "document"}
        return {"context": "none"}

    def hooks(self) -> Hooks:
        """What goes along with the dialogues. `UserError` naming what cannot."""
        opens = _own(self.asks, "instruction_generator_callback")
        instructs = _own(self.tells, "respondent_prompt_modifier")
        finds, functions = self._retriever(), self._functions()
        carried = {
            "conversations.instruction_generator_callback": opens,
            "conversations.respondent_prompt_modifier": instructs,
            "conversations.retriever": finds,
            "conversations.functions": functions,
        }
        return Hooks(
            opens=OwnText(opens) if opens else None,
            instructs=OwnText(instructs) if instructs else None,
            retriever=OwnRetriever(finds.name, _top_k(self.tells), _RETRIEVER_S, finds) if finds else None,
            functions=GivenFunctions(functions, _FUNCTION_S) if functions else None,
            names={name: f"{one.name} {one.digest}" for name, one in carried.items() if one},
        )

    def _retriever(self) -> Carried[Callable[[str, int], Any]] | None:
        given = self.tells.retriever if isinstance(self.tells, WithRAGRespondentPromptModifier) else None
        if given is None or isinstance(given, str):
            return None
        find = getattr(given, "find", given)
        if not callable(find) or isinstance(given, type):
            what = f"the retriever must be a function of (query, top_k), or have such a find; got {_kind(given)}"
            raise UserError(what)
        return carry(find, f"the retriever {getattr(find, '__qualname__', _kind(given))}")

    def _functions(self) -> Carried[Mapping[str, Callable[..., object]]] | None:
        asks = self.asks
        if not isinstance(asks, ToolCallingInstructionGeneratorCallback) or not asks.functions:
            return None
        functions: Mapping[str, Callable[..., object]] = asks.functions
        return carry(functions, f"functions ({', '.join(asks.functions)})")


def _own(callback: Callback | None, what: str) -> Carried[Callback] | None:
    if callback is None or not writes_itself(callback):
        return None
    return carry(callback, f"{what} {type(callback).__qualname__}")


def _top_k(tells: BaseRespondentPromptModifierCallback | None) -> int:
    return tells.top_k if isinstance(tells, WithRAGRespondentPromptModifier) else 0


def _kind(value: object) -> str:
    return value.__name__ if isinstance(value, type) else f"a {type(value).__name__}"
