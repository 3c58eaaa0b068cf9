"""The settings of a run: every default and every bound."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from actors.logic.dialogue import Context
from actors.logic.document import DocumentKind
from actors.logic.filters import Fault
from actors.logic.near_duplicates import Scope
from actors.logic.persona import Granularity
from actors.logic.sampling import Sampling
from cluster.errors import UserError
from cluster.object_path import path_of
from pipelines.settings.audit import Audit
from pipelines.settings.bios import Bios
from pipelines.settings.cluster import Cluster
from pipelines.settings.conversations import Conversations
from pipelines.settings.dedup import Dedup
from pipelines.settings.llm import EMBEDDED, EndpointSettings, Llm
from pipelines.settings.section import Section


class Documents(Section):
    path: Annotated[list[str], Field(min_length=1)] = Field(default_factory=list)
    kind: DocumentKind = DocumentKind.TEXT
    text_field: str = "text"
    id_field: str | None = None
    limit: Annotated[int, Field(strict=True, ge=1)] | None = None
    generated: Literal["warn", "refuse", "allow"] = "warn"
    max_characters: Annotated[int, Field(strict=True, ge=200, le=2_000_000)] | None = None

    @field_validator("path", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _personas_as_hubs_have_them(self) -> Documents:
        """Personas stand in a field `persona` unless said otherwise, and are never cut."""
        if self.kind is DocumentKind.TEXT:
            return self
        if self.max_characters is not None:
            raise ValueError("has max_characters, but with kind: persona nothing is cut; leave it out")
        named = "text_field" in self.model_fields_set
        return self if named else self.model_copy(update={"text_field": "persona"})


class Prompts(Section):
    """Files with templates of the user's own."""

    text: str | None = None
    persona: str | None = None


class Personas(Section):
    per_call: Annotated[int, Field(strict=True, ge=1, le=50)] = 5
    depth: Annotated[int, Field(strict=True, ge=0, le=6)] | Literal["auto"] = "auto"
    target_per_document: Annotated[int, Field(strict=True, ge=1)] | None = None
    granularity: Granularity = Granularity.MEDIUM
    language: str = ""
    refills: Annotated[int, Field(strict=True, ge=0, le=10)] = 1
    filters: list[Fault] = Field(default_factory=lambda: list(Fault))
    prompts: Prompts = Prompts()
    dedup: Dedup = Dedup()
    baseline: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0
    reuse: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _vectors_to_hold_against(self) -> Personas:
        if self.baseline and self.dedup.scope is not Scope.CORPUS:
            raise ValueError("has a baseline, which needs dedup.scope: corpus; set that, or leave baseline out")
        return self


class Settings(Section):
    """A whole config. `documents` may be absent where there are only `bios`, or where personas are reused."""

    run_dir: str
    seed: Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)] = 0  # a column of the dataset
    bios: Bios | None = None
    personas: Personas = Personas()
    documents: Annotated[Documents, Field(validate_default=True)] = Documents()
    llm: Llm
    conversations: Conversations = Conversations()
    audit: Audit = Audit()
    cluster: Cluster = Cluster()

    @field_validator("run_dir")
    @classmethod
    def _is_a_place(cls, value: str) -> str:
        try:
            path_of(value)
        except UserError as error:
            raise ValueError(f"cannot be used: {error}") from None
        return value

    @model_validator(mode="after")
    def _personas_are_no_documents(self) -> Settings:
        """Of given personas there is no document that an assistant could have."""
        talk = self.conversations
        if self.documents.kind is DocumentKind.TEXT or talk.context is Context.NONE:
            return self
        if talk.context is Context.RAG and talk.rag.retriever:
            return self
        if "context" in talk.model_fields_set:
            raise ValueError(
                f"conversations.context is {talk.context}, but with documents.kind: persona there is no document to "
                "talk about; leave it out"
            )
        without = talk.model_copy(update={"context": Context.NONE})
        return self.model_copy(update={"conversations": without})

    @model_validator(mode="after")
    def _somebody_or_something(self) -> Settings:
        """Without personas nothing is kept apart, and there have to be documents to talk about."""
        if self.conversations.needs_personas:
            return self
        if self.documents.kind is DocumentKind.PERSONA:
            raise ValueError(
                "conversations.persona_in is none, but with documents.kind: persona there is nothing else to start "
                "from; choose question, answer or both"
            )
        dedup = self.personas.dedup.model_copy(update={"scope": Scope.NONE})
        personas = self.personas.model_copy(update={"dedup": dedup})
        return self.model_copy(update={"personas": personas})

    @model_validator(mode="after")
    def _coverage_has_vectors(self) -> Settings:
        """How many people are like one is told by the vectors of all, which are kept for one scope alone."""
        talk, scope = self.conversations, self.personas.dedup.scope
        if talk.needs_personas and talk.sampling is Sampling.COVERAGE and scope is not Scope.CORPUS:
            raise ValueError(
                f"conversations.sampling is coverage, but personas.dedup.scope is {scope}, which keeps no vectors of "
                "the corpus; set it to corpus, or choose depth_weighted or uniform"
            )
        return self

    @field_validator("documents")
    @classmethod
    def _there(cls, value: Documents, info: ValidationInfo) -> Documents:
        reuses = (personas := info.data.get("personas")) and personas.reuse
        if not value.path and not reuses and info.data.get("bios", ...) is None:
            what = "Field required"
            raise PydanticCustomError("missing", what)
        if value.path and reuses:
            what = "has a path, but personas.reuse brings the documents of that run; leave one of them out"
            raise ValueError(what)
        return value

    @model_validator(mode="after")
    def _can_ask_for_every_model(self) -> Settings:
        if fault := self.llm.unkept(self.named_models):
            raise ValueError(f"llm {fault}")
        for one in self.llm.endpoints:
            if one.base_url == EMBEDDED and (others := [name for name in self.named_models if name != one.model]):
                raise ValueError(f"bios.models names {others[0]}, but the embedded endpoint serves {one.model} alone")
        return self

    @property
    def named_models(self) -> list[str]:
        """Models that calls ask for by name."""
        return [*self.bios.models, *self.bios.variable_models] if self.bios else []

    def models(self, endpoint: EndpointSettings) -> list[str]:
        """Those that an endpoint is asked for."""
        return self.llm.models(endpoint, self.named_models)

    @property
    def folder(self) -> Path:
        return path_of(self.run_dir).absolute()


_MOST_CHARACTERS = 12_000
_SMALL_MODEL_CHARACTERS = 600
_CHARACTERS_PER_TOKEN = 3  # cautious: English has more, other scripts less
_PROMPT_TOKENS = 600
_JUDGE_TOKENS = 1_000  # more: its rubric, and the room of its answer


def document_characters(settings: Settings, contexts: Iterable[int]) -> int:
    """Characters of a document that fit, given the context windows in tokens of the models that will read it.

    A dialogue's last call holds the document, the prompt, and every message so far at its longest likely
    length. A small model keeps less in mind than fits.
    """
    chosen, least = settings.documents.max_characters, min(contexts, default=None)
    talk = settings.conversations
    if settings.llm.small_model and not chosen:
        return _SMALL_MODEL_CHARACTERS
    if chosen or least is None:
        return chosen or _MOST_CHARACTERS // talk.num_random_contexts
    said = min(talk.max_tokens, 400) * 2 * talk.max_turns + talk.max_tokens + _JUDGE_TOKENS * talk.is_judged
    room = _CHARACTERS_PER_TOKEN * (least - _PROMPT_TOKENS - said)
    if talk.context is Context.RAG:
        room -= talk.rag.top_k * talk.rag.characters * talk.max_turns
    return max(200, min(_MOST_CHARACTERS, room) // talk.num_random_contexts)
