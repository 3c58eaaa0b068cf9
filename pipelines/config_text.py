"""A config as `populace init` writes it: what is known set, everything else there with its default, as a comment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.settings import Settings
from pipelines.settings.words import section_of, words

SCHEMA = "populace.schema.json"
_COLUMN = 44  # where comments begin
_LEFT_OUT = {"bios"}  # of another command
_FIRST = ("run_dir", "documents", "llm", "conversations", "personas", "audit", "cluster", "seed")

Chosen = Mapping[str, Any]


def config_text(chosen: Chosen, head: list[str]) -> str:
    """YAML that loads as `chosen`; `head` are the lines of its opening comment."""
    opening = [f"# yaml-language-server: $schema={SCHEMA}", *(f"# {line}".rstrip() for line in head), ""]
    fields = {name: Settings.model_fields[name] for name in _FIRST}
    fields |= {name: one for name, one in Settings.model_fields.items() if name not in (*_FIRST, *_LEFT_OUT)}
    return "\n".join([*opening, *_section(fields, chosen, "", 0)]) + "\n"


def _section(fields: Mapping[str, FieldInfo], chosen: Chosen, above: str, depth: int) -> Iterator[str]:
    """Lines of a section: those of its settings that are chosen stand, all others are comments."""
    for name, field in fields.items():
        key, inner, value = f"{above}{name}", section_of(field), chosen.get(name)
        if inner and isinstance(value, list):
            yield _line(f"{name}:", key, depth)
            for one in value:
                yield from _item(list(_section(_fields(inner), one, f"{key}.", depth + 2)), depth + 1)
        elif inner and (isinstance(value, dict) or isinstance(field.get_default(call_default_factory=True), BaseModel)):
            yield _line(f"{name}:", key, depth, is_set=name in chosen)
            lines = list(_section(_fields(inner), value or {}, f"{key}.", depth + 1))
            yield from lines if name in chosen else [_commented(line) for line in lines]
        elif name in chosen:
            yield _line(f"{name}: {_yaml(value)}", key, depth)
        else:
            yield _line(f"{name}: {_yaml(_default(field))}", key, depth, is_set=False)


def _fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """Its own settings before those that it has in common with others."""
    own = {name: one for name, one in section.model_fields.items() if name in section.__annotations__}
    return own | section.model_fields


def _item(lines: list[str], depth: int) -> Iterator[str]:
    """Lines of a section as an item of a list: its first line that stands gets the dash."""
    first = next(at for at, line in enumerate(lines) if not line.lstrip().startswith("#"))
    for at, line in enumerate([lines[first], *lines[:first], *lines[first + 1 :]]):
        yield "  " * depth + "- " + line.lstrip() if at == 0 else line


def _line(text: str, key: str, depth: int, is_set: bool = True) -> str:
    text = "  " * depth + ("" if is_set else "# ") + text
    said = words().get(key, "")
    return f"{text.ljust(_COLUMN)}  # {said}" if said else text


def _commented(line: str) -> str:
    """A line that is a comment, once."""
    bare = line.lstrip()
    return line if bare.startswith("#") else line[: len(line) - len(bare)] + "# " + bare


def _default(field: FieldInfo) -> Any:
    found = field.get_default(call_default_factory=True)
    return None if found is PydanticUndefined else found


def _yaml(value: Any) -> str:
    """On one line, as people write it."""
    plain = _plain(value)
    if plain is None:
        return "null"
    text = yaml.safe_dump(plain, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n...\n").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
