"""The settings of a run: every default, every bound, and the words in which a wrong one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from actors.encoder import Backend, Precision
from actors.logic.dialogue import Context
from actors.logic.near_duplicates import Scope
from actors.logic.persona import Granularity
from actors.logic.sampling import Sampling
from cluster.errors import UserError
from cluster.keys import Price
from cluster.prices import Known, listed_price
from pipelines.wrong_settings import lines, near

EMBEDDED = "embedded"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Documents(_Section):
    path: Annotated[list[str], Field(min_length=1)]
    text_field: str = "text"
    id_field: str | None = None
    limit: Annotated[int, Field(strict=True, ge=1)] | None = None
    max_characters: Annotated[int, Field(strict=True, ge=200, le=2_000_000)] | None = None

    @field_validator("path", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


class ModelPriceSettings(_Section):
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    cached_input: Annotated[float, Field(ge=0)] | None = None

    def known(self) -> Known | None:
        """None where it is no number."""
        told = isfinite(self.input + self.output + (self.cached_input or 0))
        return Known(Price(self.input, self.output, self.cached_input)) if told else None


class PriceSettings(ModelPriceSettings):
    models: dict[str, ModelPriceSettings] = {}


class Asked(_Section):
    """What is reached over HTTP."""

    base_url: str
    model: str
    keys: list[str] = []

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("keys")
    @classmethod
    def _never_in_the_clear(cls, value: list[str]) -> list[str]:
        if not all(key.startswith(("env:", "file:")) for key in value):
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


class Llm(_Section):
    endpoints: Annotated[list[EndpointSettings], Field(min_length=1)]
    roles: dict[Literal["persona", "correspondent", "respondent", "judge"], str] = {}
    timeout_s: Annotated[float, Field(gt=0)] = 120
    small_model: bool = False
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _can_keep_its_budget(self) -> Llm:
        if self.budget_usd is None or not (unpriced := self.unpriced()):
            return self
        at, model = unpriced[0]
        if model == self.endpoints[at].model:
            raise ValueError(f"has a budget_usd, but endpoints[{at}] no price, so it could not be kept; set one")
        raise ValueError(
            f"has a budget_usd, but {model} no price at endpoints[{at}], so it could not be kept; set one under its "
            "price.models"
        )

    def models(self, endpoint: EndpointSettings) -> list[str]:
        """Those that an endpoint is asked for."""
        return list(dict.fromkeys([endpoint.model, *self.roles.values()]))

    def unpriced(self) -> list[tuple[int, str]]:
        """Models of unknown price, with the number of the endpoint where they cost something."""
        return [
            (at, model)
            for at, one in enumerate(self.endpoints)
            for model in self.models(one)
            if one.base_url != EMBEDDED and one.price_of(model) is None
        ]

    def listed(self) -> list[str]:
        """A line for each price that is the table's, and how to set another."""
        lines = []
        for at, one in enumerate(self.endpoints):
            for model in self.models(one):
                known = one.price_of(model)
                if known and known.as_of:
                    setting = "price" if model == one.model else f"price.models.{model}"
                    lines.append(
                        f"price of {model} from the table of {known.as_of}: ${known.price.input:g} in, "
                        f"${known.price.output:g} out per million tokens; "
                        f"set llm.endpoints[{at}].{setting} if yours differs"
                    )
        return lines


class EmbeddingEndpointSettings(Asked):
    """A `/v1/embeddings` in place of a model on this machine."""


class Dedup(_Section):
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    scope: Scope = Scope.CORPUS
    model: str | None = None
    shards: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    backend: Backend = Backend.TORCH
    precision: Precision = Precision.FLOAT32
    endpoint: EmbeddingEndpointSettings | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Dedup:
        if self.precision is Precision.INT8 and self.backend is not Backend.ONNX:
            raise ValueError("has precision: int8, which only backend: onnx has; set that, or leave it out")
        if self.endpoint and self.model:
            raise ValueError("has a model and an endpoint; the endpoint's model is endpoint.model, so leave model out")
        if self.endpoint and (self.backend, self.precision) != (Backend.TORCH, Precision.FLOAT32):
            raise ValueError("has an endpoint, which has a backend and a precision of its own; leave them out")
        return self


class Personas(_Section):
    per_call: Annotated[int, Field(strict=True, ge=1, le=50)] = 5
    depth: Annotated[int, Field(strict=True, ge=0, le=6)] | Literal["auto"] = "auto"
    target_per_document: Annotated[int, Field(strict=True, ge=1)] | None = None
    granularity: Granularity = Granularity.MEDIUM
    dedup: Dedup = Dedup()


class Conversations(_Section):
    count: Annotated[int, Field(strict=True, ge=1)] = 1000
    max_turns: Annotated[int, Field(strict=True, ge=1, le=50)] = 3
    strategy: Literal["persona"] = "persona"
    sampling: Sampling = Sampling.DEPTH_WEIGHTED
    respondent_prompt: str = "You are a helpful assistant."
    context: Context = Context.DOCUMENT
    auto_improve: Literal[False] = False
    candidates: Literal[1] = 1
    max_tokens: Annotated[int, Field(strict=True, ge=16)] = 1024


class Callers(_Section):
    min: Annotated[int, Field(strict=True, ge=1)] = 1
    max: Annotated[int, Field(strict=True, ge=1)] = 4

    @model_validator(mode="after")
    def _ordered(self) -> Callers:
        if self.max < self.min:
            raise ValueError(f"max must be at least min, got max {self.max} and min {self.min}")
        return self


class Embedders(_Section):
    """Processes that embed, of one core and some 650 MB each."""

    min: Annotated[int, Field(strict=True, ge=1)] = 1
    max: Annotated[int, Field(strict=True, ge=1)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Embedders:
        if self.max and self.max < self.min:
            raise ValueError(f"max must be at least min, got max {self.max} and min {self.min}")
        return self


class Cluster(_Section):
    address: str | None = None
    callers: Callers = Callers()
    embedders: Embedders = Embedders()
    pools: Annotated[int, Field(strict=True, ge=1)] = 1


class Settings(_Section):
    """A whole config. `llm` may be absent where a command calls no model."""

    run_dir: str
    seed: Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)] = 0  # a column of the dataset
    documents: Documents
    llm: Llm
    personas: Personas = Personas()
    conversations: Conversations = Conversations()
    cluster: Cluster = Cluster()

    @field_validator("run_dir")
    @classmethod
    def _local(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a folder of this machine or of a file system that all nodes mount")
        return value

    @property
    def folder(self) -> Path:
        return Path(self.run_dir).absolute()


def load(config: Path, overrides: Sequence[str] = ()) -> Settings:
    """The settings in a YAML file under `--set` overrides; `UserError` with a line for each key that is wrong."""
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{config}: no such file{near(config.name, _names(config.parent), ' in its folder')}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{config} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{config} is not YAML{_place(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{config} holds no settings; it should be keys and values such as 'run_dir: runs/first'")
    return parse(content, overrides)


def _place(error: yaml.YAMLError) -> str:
    """Where it is wrong, but not what stands there: it may be a key in the clear."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f": see line {mark.line + 1}, column {mark.column + 1}" if mark else ""


def parse(content: Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """As `load`, from the keys and values themselves."""
    merged = dict(content)
    for override in overrides:
        _apply(merged, override)
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise UserError("\n".join(lines(Settings, error.errors(include_url=False)))) from None


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _apply(content: dict[str, Any], override: str) -> None:
    """Put one `a.b=value` in place; list items go by number (`llm.endpoints.0.model=x`); the value is YAML."""
    dotted, equals, text = override.partition("=")
    if not equals or not dotted.strip():
        raise UserError(f"--set {override!r} must look like conversations.count=100")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    *path, last = dotted.strip().split(".")
    place: Any = content
    for name in path:
        place = _step(place, name, dotted)
    if isinstance(place, list):
        place[_position(place, last, dotted)] = value
    else:
        place[last] = value


def _step(place: Any, name: str, dotted: str) -> Any:
    if isinstance(place, list):
        at = _position(place, name, dotted)
        place[at] = _copy(place[at])
        return place[at]
    place[name] = _copy(place.get(name))
    return place[name]


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else {}


def _position(place: list[Any], name: str, dotted: str) -> int:
    if name.isdigit() and int(name) < len(place):
        return int(name)
    raise UserError(f"--set {dotted}: {name!r} is no place in a list of {len(place)} (they count from 0)")


_MOST_CHARACTERS = 12_000
_SMALL_MODEL_CHARACTERS = 600
_CHARACTERS_PER_TOKEN = 3  # cautious: English has more, other scripts less
_PROMPT_TOKENS = 600


def document_characters(settings: Settings, contexts: Iterable[int]) -> int:
    """Characters of a document that fit, given the context windows in tokens of the models that will read it.

    A dialogue's last call holds the document, the prompt, and every message so far at its longest likely
    length. A small model keeps less in mind than fits.
    """
    chosen, least = settings.documents.max_characters, min(contexts, default=None)
    if settings.llm.small_model and not chosen:
        return _SMALL_MODEL_CHARACTERS
    if chosen or least is None:
        return chosen or _MOST_CHARACTERS
    talk = settings.conversations
    said = min(talk.max_tokens, 400) * 2 * talk.max_turns + talk.max_tokens
    return max(200, min(_MOST_CHARACTERS, _CHARACTERS_PER_TOKEN * (least - _PROMPT_TOKENS - said)))
