"""When a run makes no more conversations, whatever their count."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.settings.section import Section


class Stop(Section):
    """The first of these that is met, and the count, end it; each is looked at whenever a part is written.

    `personas` that have spoken and `documents` that were talked about are aims: who reaches one is done. `seconds` of
    a session and the share of failed dialogues, `error_rate`, leave work undone.
    """

    personas: Annotated[int, Field(strict=True, ge=1)] | None = None
    documents: Annotated[int, Field(strict=True, ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    error_rate: Annotated[float, Field(ge=0, le=1)] | None = 0.5

    @property
    def is_set(self) -> bool:
        """Whether a run may have to end between two parts of ordinary size."""
        return any(one is not None for one in (self.personas, self.documents, self.seconds))
