"""The settings of a run: every default, every bound, and the words in which a wrong one is refused."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from actors.logic.dialogue import Context
from actors.logic.near_duplicates import Scope
from actors.logic.persona import Granularity
from actors.logic.sampling import Sampling
from cluster.errors import UserError
from cluster.keys import Endpoint, Price, Secret

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


class PriceSettings(_Section):
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class EndpointSettings(_Section):
    base_url: str
    model: str
    keys: list[str] = []
    requests_per_minute: Annotated[float, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[float, Field(gt=0)] | None = None
    max_concurrency: Annotated[int, Field(strict=True, ge=1)] = 256
    context_tokens: Annotated[int, Field(strict=True, ge=512)] | None = None
    price: PriceSettings | None = None

    @field_validator("base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value != EMBEDDED and not value.startswith(("http://", "https://")):
            raise ValueError(f"must start with http:// or https:// (or be '{EMBEDDED}')")
        return value.rstrip("/")

    @field_validator("keys")
    @classmethod
    def _never_in_the_clear(cls, value: list[str]) -> list[str]:
        if not all(key.startswith(("env:", "file:")) for key in value):
            raise ValueError("must be 'env:NAME' or 'file:PATH', not the key itself")
        return list(dict.fromkeys(value))


class Llm(_Section):
    endpoints: Annotated[list[EndpointSettings], Field(min_length=1)]
    roles: dict[Literal["persona", "correspondent", "respondent", "judge"], str] = {}
    timeout_s: Annotated[float, Field(gt=0)] = 120
    small_model: bool = False
    budget_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _can_keep_its_budget(self) -> Llm:
        for at, one in enumerate(self.endpoints):
            if self.budget_usd is not None and one.base_url != EMBEDDED and not _price(one.price):
                raise ValueError(f"has a budget_usd, but endpoints[{at}] no price, so it could not be kept; set one")
        return self


class Dedup(_Section):
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    scope: Scope = Scope.CORPUS
    model: str | None = None


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


class Cluster(_Section):
    address: str | None = None
    callers: Callers = Callers()
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
        raise UserError(
            f"{config}: no such file{_near(config.name, _names(config.parent), ' in its folder')}"
        ) from None
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
        raise UserError("\n".join(_lines(error.errors(include_url=False)))) from None


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


def _lines(errors: Iterable[ErrorDetails]) -> list[str]:
    lines: dict[str, str] = {}
    for error in errors:
        key = _dotted(error["loc"])
        lines.setdefault(key, _line(key, error))
    return list(lines.values())


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


_BRANCHES = {"int", "constrained-int", "literal['auto']", "none", "function-after[_ordered(), Callers]"}


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step not in _BRANCHES:
            text += f".{step}" if text else step
    return text.removesuffix(".[key]")


def _line(key: str, error: ErrorDetails) -> str:
    got = error["input"]
    hidden = "keys" in key or isinstance(got, (list, dict)) or error["type"] == "model_type"
    shown = "" if hidden else f", got {got!r}"  # what stands there by mistake may be a key in the clear
    bounds = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            parent, _, name = key.rpartition(".")
            return f"{key} is no setting{_near(name, fields_of(parent))}"
        case _ if key == "personas.depth":
            return f"{key} must be 0…6 or auto{shown}"
        case "int_parsing" | "int_type" | "int_from_float":
            return f"{key} must be a whole number{shown}"
        case "float_parsing" | "float_type" | "finite_number":
            return f"{key} must be a number{shown}"
        case "string_type":
            return f"{key} must be text{shown}"
        case "list_type":
            return f"{key} must be a list{shown}"
        case "dict_type":
            return f"{key} must be a section of keys and values{shown}"
        case "bool_type" | "bool_parsing":
            return f"{key} must be true or false{shown}"
        case "model_type":
            return f"{key} must be a section with keys of its own ({', '.join(fields_of(key))}){shown}"
        case "missing":
            return f"{key} is missing"
        case "value_error":
            return f"{key} {bounds['error']!s}{'' if str(bounds['error']).startswith('max must') else shown}"
        case "none_required":
            return f"{key} is not available yet; leave it out"
        case "literal_error" | "enum":
            return f"{key} must be {bounds['expected']!s}{shown}{_near(str(got), _quoted(str(bounds['expected'])))}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{key} must be {_range(key)}{shown}"
        case "too_short":
            return f"{key} is empty; name at least one"
        case _:
            return f"{key}: {error['msg'].lower()}{shown}"


def _quoted(expected: str) -> list[str]:
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _near(name: str, known: Iterable[str], where: str = "") -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}{where}?" if close else ""


def _section(key: str) -> type[BaseModel] | None:
    """The model behind a dotted key such as `llm.endpoints[0].price`."""
    section: Any = Settings
    for name in [part.partition("[")[0] for part in key.split(".") if part]:
        field = section.model_fields.get(name)
        found = [one for one in _leaves(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if not found:
            return None
        section = found[0]
    return section  # type: ignore[no-any-return]


def _leaves(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [leaf for one in inner for leaf in _leaves(one)] if inner else [annotation]


def fields_of(key: str) -> list[str]:
    """The settings there are under a dotted key; all sections for the empty key."""
    section = _section(key)
    return list(section.model_fields) if section else []


def _range(key: str) -> str:
    """The bounds of a number, as a person writes them: `in (0, 1]`, `at least 1`."""
    parent, _, name = key.rpartition(".")
    section = _section(parent)
    bounds: dict[str, Any] = {}
    for mark in _marks(section.model_fields[name]) if section else ():
        bounds |= {bound: value for bound in ("gt", "ge", "le") if (value := getattr(mark, bound, None)) is not None}
    if "le" in bounds:
        return f"in ({bounds['gt']}, {bounds['le']}]" if "gt" in bounds else f"in [{bounds['ge']}, {bounds['le']}]"
    return f"more than {bounds['gt']}" if "gt" in bounds else f"at least {bounds.get('ge', 0)}"


def _marks(field: FieldInfo) -> Iterator[object]:
    """The constraints on a field, those within a union included."""
    inner = [mark for branch in get_args(field.annotation) for mark in getattr(branch, "__metadata__", ())]
    for mark in [*field.metadata, *inner]:
        yield from getattr(mark, "metadata", [mark])


def resolve_keys(endpoint: EndpointSettings, name: str) -> list[tuple[str, Secret]]:
    """The endpoint's keys by the names that they go by; `UserError` naming the variable or file that holds none."""
    found: dict[str, str] = {}
    for reference in endpoint.keys:
        kind, _, place = reference.partition(":")
        for label, value in _from_environment(place, name) if kind == "env" else _from_file(place, name):
            found.setdefault(value, label)
    if not found:
        return [(f"{name} (no key)", Secret("none"))]
    return [(label, Secret(value)) for value, label in found.items()]


def _from_environment(variable: str, name: str) -> list[tuple[str, str]]:
    value = os.environ.get(variable, "").strip()
    if not value:
        near = _near(variable, [one for one in os.environ if "KEY" in one.upper()])
        raise UserError(f"{name}.keys: the environment has no {variable}; export it{near}")
    return [(f"env:{variable}", value)]


def _from_file(place: str, name: str) -> list[tuple[str, str]]:
    try:
        lines = Path(place).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise UserError(f"{name}.keys: file:{place} cannot be read ({reason})") from None
    keys = [(f"file:{place} line {number}", line.strip()) for number, line in enumerate(lines, 1)]
    keys = [(label, value) for label, value in keys if value and not value.startswith("#")]
    if not keys:
        raise UserError(f"{name}.keys: file:{place} holds no key; write one a line")
    return keys


def endpoints(settings: Settings) -> list[Endpoint]:
    """The endpoints with their keys, as callers take them."""
    return [
        Endpoint(
            name=f"llm.endpoints[{at}]",
            base_url=one.base_url,
            model=one.model,
            keys=resolve_keys(one, f"llm.endpoints[{at}]"),
            roles={str(role): model for role, model in settings.llm.roles.items()},
            requests_per_minute=one.requests_per_minute,
            tokens_per_minute=one.tokens_per_minute,
            max_concurrency=one.max_concurrency,
            price=_price(one.price),
        )
        for at, one in enumerate(settings.llm.endpoints)
    ]


def _price(price: PriceSettings | None) -> Price | None:
    known = price is not None and isfinite(price.input + price.output)
    return Price(price.input, price.output) if price and known else None
