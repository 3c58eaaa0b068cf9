"""What the personas are held against, and who checks the audit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from pipelines.settings.section import Section


class Audit(Section):
    reference: list[str] = Field(default_factory=list)
    judge: bool = False
    sample: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 200

    @field_validator("reference", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value or []
