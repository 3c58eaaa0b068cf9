"""What each setting is, in a few words, and the schema of a config for editors, which has them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.settings.run import Settings


@cache
def words() -> dict[str, str]:
    """By dotted key; items of lists have no number in it."""
    text = (files("pipelines.settings") / "words.yaml").read_text(encoding="utf-8")
    found: dict[str, str] = yaml.safe_load(text)
    return found


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """The section that a setting holds, in a list or as one of several kinds too; None where it holds a value."""
    return next(_sections(field.annotation), None)


def _sections(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    elif get_origin(kind) in (Union, UnionType, list):
        for one in get_args(kind):
            yield from _sections(one)


def keys(section: type[BaseModel] = Settings, above: str = "") -> Iterator[str]:
    """Every setting that there is, sections before what is in them."""
    for name, field in section.model_fields.items():
        yield f"{above}{name}"
        if inner := section_of(field):
            yield from keys(inner, f"{above}{name}.")


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a config, each setting with its words."""
    schema = Settings.model_json_schema()
    _describe(schema, schema, "")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A config of populace"}


def _describe(schema: dict[str, Any], root: dict[str, Any], above: str) -> None:
    for name, field in schema.get("properties", {}).items():
        key = f"{above}{name}"
        if said := words().get(key):
            field["description"] = said
        for inner in _referred(field, root):
            _describe(inner, root, f"{key}.")


def _referred(field: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Sections that a field holds. One that stands in several places keeps the words of the last."""
    for one in (field, field.get("items", {}), *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in one:
            yield root["$defs"][one["$ref"].rpartition("/")[2]]
