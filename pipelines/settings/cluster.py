"""Where a run works, and on which of the nodes there."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pipelines.settings.section import Section


class _Bounds(Section):
    @model_validator(mode="after")
    def _ordered(self) -> _Bounds:
        low, high = getattr(self, "min", 1), getattr(self, "max", None)
        if high and high < low:
            raise ValueError(f"max must be at least min, got max {high} and min {low}")
        return self


class Callers(_Bounds):
    """Processes that call models, of a quarter of a core; `in_flight` is how many calls one of them drives."""

    min: Annotated[int, Field(strict=True, ge=1)] = 1
    max: Annotated[int, Field(strict=True, ge=1)] = 4
    in_flight: Annotated[int, Field(strict=True, ge=1)] = 256
    idle_s: Annotated[float, Field(gt=0)] = 60.0


class Embedders(_Bounds):
    """Processes that embed, of one core and some 650 MB each."""

    min: Annotated[int, Field(strict=True, ge=1)] = 1
    max: Annotated[int, Field(strict=True, ge=1)] | None = None


class Place(Section):
    """What one process of a kind takes of its node, beside what it takes anyway, and the labels of such nodes."""

    resources: dict[str, float] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)

    @field_validator("resources")
    @classmethod
    def _amounts(cls, value: dict[str, float]) -> dict[str, float]:
        for name, amount in value.items():
            if amount < 0:
                raise ValueError(f"must not be negative, got {amount} of {name}")
            if amount > 1 and amount != int(amount):
                raise ValueError(f"must be whole above 1, got {amount} of {name}")
        return value


class Placement(Section):
    callers: Place = Place()
    embedders: Place = Place()
    dedup: Place = Place()
    pools: Place = Place()


class Cluster(Section):
    address: str | None = None
    callers: Callers = Callers()
    embedders: Embedders = Embedders()
    pools: Annotated[int, Field(strict=True, ge=1)] = 1
    placement: Placement = Placement()
    wait_s: Annotated[float, Field(ge=0)] = 60.0
