"""What an assistant that looks things up finds, and where."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from pipelines.settings.section import Section

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class Rag(Section):
    """`retriever` is a user's own, as `package.module:name`; without one, passages of the run's documents are found."""

    retriever: str | None = None
    top_k: Annotated[int, Field(strict=True, ge=1, le=50)] = 4
    characters: Annotated[int, Field(strict=True, ge=200, le=20_000)] = 1200
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0

    @field_validator("retriever")
    @classmethod
    def _dotted(cls, value: str | None) -> str | None:
        if value is None or _PATH.fullmatch(value):
            return value
        raise ValueError("must be the path of a function or class, as package.module:name")
