"""What people of a simulation are asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from actors.logic.bio_text import BioKind
from pipelines.settings.section import Section

SAMPLES = 10
_MOST_CHARACTERS = 200_000


class Bios(Section):
    """People of a `description`, or one for each of `personas` (a run's folder, or files of them)."""

    description: Annotated[str, Field(max_length=_MOST_CHARACTERS)] = ""
    personas: str | None = None
    persona_field: str = "text"
    kind: BioKind = BioKind.BIO
    num_of_samples: Annotated[int, Field(strict=True, ge=1)] | None = None
    variables: list[str] = Field(default_factory=list)
    models: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    variable_models: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    language: str = ""
    prompt: str | None = None

    @field_validator("variables", "models", "variable_models", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else [] if value is None else value

    @field_validator("description", "language", mode="before")
    @classmethod
    def _left_empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("description")
    @classmethod
    def _trimmed(cls, value: str) -> str:
        return value.strip()

    @model_validator(mode="after")
    def _has_a_source(self) -> Bios:
        if not self.description and not self.personas:
            raise ValueError("has no description; describe the simulation in a word or in pages, or name personas")
        if self.personas and self.variables:
            raise ValueError("has personas and variables; traits are read from the personas, so leave one out")
        return self
