"""What tools an assistant has, and where their results come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from pipelines.settings.section import Section


class TalkTools(Section):
    """`functions` is a module (`package.module`) or a file of Python; without, a model plays the tools."""

    path: str
    functions: str | None = None
    max_calls: Annotated[int, Field(strict=True, ge=1, le=100)] = 8
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10
    errors: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _errors_are_played(self) -> TalkTools:
        if self.functions and "errors" in self.model_fields_set:
            raise ValueError("has functions and errors; functions fail by themselves, so leave errors out")
        return self
