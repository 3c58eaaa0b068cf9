"""A config from its file, under overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cluster.errors import UserError
from pipelines.settings.run import Settings
from pipelines.settings.wrong import lines, near


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
