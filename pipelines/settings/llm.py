"""Endpoints, their keys and prices, and what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cluster.keys import Price
from cluster.prices import Known, listed_price
from pipelines.settings.section import Section

EMBEDDED = "embedded"


class ModelPriceSettings(Section):
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cached_input: Annotated[float, Field(ge=0)] | None = None

    def known(self) -> Known | None:
        """None where it is no number."""
        told = isfinite(self.input + self.output + (self.cached_input or 0))
        return Known(Price(self.input, self.output, self.cached_input)) if told else None


class PriceSettings(ModelPriceSettings):
    models: dict[str, ModelPriceSettings] = Field(default_factory=dict)


class Asked(Section):
    """What is reached over HTTP."""

    base_url: str
    model: str
    keys: list[str] = Field(default_factory=list)

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("keys")
    @classmethod
    def _never_in_the_clear(cls, value: list[str]) -> list[str]:
        if not all(key.startswith(("env:", "file:", "given:")) for key in value):
            raise ValueError("must be 'env:NAME' or 'file:PATH', not the key itself")
        return list(dict.fromkeys(value))


class EndpointSettings(Asked):
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    max_concurrency: Annotated[int, Field(strict=True, ge=1)] = 256
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    batch: bool = False
    context_tokens: Annotated[int, Field(strict=True, ge=512)] | None = None
    price: PriceSettings | None = None

    def price_of(self, model: str) -> Known | None:
        """What a model costs here: as the config says, else as the table of prices does."""
        if self.price and model in self.price.models:
            return self.price.models[model].known()
        if self.price and model == self.model:
            return self.price.known()
        return listed_price(self.base_url, model)

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value != EMBEDDED and not value.startswith(("http://", "https://")):
            raise ValueError(f"must start with http:// or https:// (or be '{EMBEDDED}')")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _has_batches(self) -> EndpointSettings:
        if self.batch and self.base_url == EMBEDDED:
            raise ValueError("has batch: true, but the embedded model makes no batches; leave it out")
        return self


class Llm(Section):
    endpoints: Annotated[list[EndpointSettings], Field(min_length=1)]
    roles: dict[Literal["persona", "correspondent", "respondent", "judge", "tool"], str] = Field(default_factory=dict)
    timeout_s: Annotated[float, Field(gt=0)] = 120
    small_model: bool = False
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    traces: str | None = None

    @field_validator("roles")
    @classmethod
    def _tools_are_played_by_the_respondent(cls, value: dict[str, str]) -> dict[str, str]:
        return {"tool": value["respondent"]} | value if "respondent" in value else value

    @field_validator("traces")
    @classmethod
    def _is_a_collector(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if "@" in value or "?" in value:
            raise ValueError("must be a plain address; what a collector asks for goes into OTEL_EXPORTER_OTLP_HEADERS")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _can_keep_its_budget(self) -> Llm:
        if fault := self.unkept():
            raise ValueError(fault)
        return self

    def unkept(self, named: Sequence[str] = ()) -> str:
        """Why the budget could not be kept where calls also ask for the `named` models; empty where it could."""
        if self.budget_usd is None or not (unpriced := self.unpriced(named)):
            return ""
        at, model = unpriced[0]
        if model == self.endpoints[at].model:
            return f"has a budget_usd, but endpoints[{at}] no price, so it could not be kept; set one"
        return (
            f"has a budget_usd, but {model} no price at endpoints[{at}], so it could not be kept; set one under its "
            "price.models"
        )

    def models(self, endpoint: EndpointSettings, named: Sequence[str] = ()) -> list[str]:
        """Those that an endpoint is asked for, the `named` ones included."""
        return list(dict.fromkeys([endpoint.model, *self.roles.values(), *named]))

    def unpriced(self, named: Sequence[str] = ()) -> list[tuple[int, str]]:
        """Models of unknown price, with the number of the endpoint where they cost something."""
        return [
            (at, model)
            for at, one in enumerate(self.endpoints)
            for model in self.models(one, named)
            if one.base_url != EMBEDDED and one.price_of(model) is None
        ]

    def listed(self, named: Sequence[str] = ()) -> list[str]:
        """A line for each price that is the table's, and how to set another."""
        lines = []
        for at, one in enumerate(self.endpoints):
            for model in self.models(one, named):
                known = one.price_of(model)
                if known and known.as_of:
                    setting = "price" if model == one.model else f"price.models.{model}"
                    lines.append(
                        f"price of {model} from the table of {known.as_of}: ${known.price.input:g} in, "
                        f"${known.price.output:g} out per million tokens; "
                        f"set llm.endpoints[{at}].{setting} if yours differs"
                    )
        return lines
