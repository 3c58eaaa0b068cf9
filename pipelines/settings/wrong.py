"""In what words a wrong setting is refused: the key, what it must be, and the nearest right one; never a secret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails


def lines(root: type[BaseModel], errors: Iterable[ErrorDetails]) -> list[str]:
    """One line for each key that is wrong, naming it and the nearest right one."""
    said: dict[str, str] = {}
    for error in errors:
        key = _dotted(error["loc"])
        said.setdefault(key, _line(root, key, error))
    return list(said.values())


_BRANCHES = {"int", "constrained-int", "literal['auto']", "none", "function-after[_ordered(), Callers]"}


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step not in _BRANCHES:
            text += f".{step}" if text else step
    return text.removesuffix(".[key]")


_MAY_HOLD_KEYS = ("run_dir", "llm.traces")


def _line(root: type[BaseModel], key: str, error: ErrorDetails) -> str:
    got = error["input"]
    holds = "keys" in key or key in _MAY_HOLD_KEYS
    hidden = holds or isinstance(got, (list, dict)) or error["type"] == "model_type"
    shown = "" if hidden else f", got {got!r}"  # what stands there by mistake may be a key in the clear
    bounds = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            parent, _, name = key.rpartition(".")
            return f"{key} is no setting{near(name, fields_of(root, parent))}"
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
            return f"{key} must be a section with keys of its own ({', '.join(fields_of(root, key))}){shown}"
        case "missing":
            return f"{key} is missing"
        case "value_error":
            said = str(bounds["error"])
            return f"{key} {said}".lstrip() + ("" if said.startswith("max must") else shown)
        case "none_required":
            return f"{key} is not available yet; leave it out"
        case "literal_error" | "enum":
            return f"{key} must be {bounds['expected']!s}{shown}{near(str(got), _quoted(str(bounds['expected'])))}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{key} must be {_range(root, key)}{shown}"
        case "string_too_long":
            return f"{key} has {len(got):,} characters; {bounds['max_length']:,} are the most"
        case "too_short":
            return f"{key} is empty; name at least one"
        case _:
            return f"{key}: {error['msg'].lower()}{shown}"


def _quoted(expected: str) -> list[str]:
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def near(name: str, known: Iterable[str], where: str = "") -> str:
    """A question that offers the nearest of the known names; empty where none is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}{where}?" if close else ""


def _section(root: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model behind a dotted key such as `llm.endpoints[0].price`."""
    section: Any = root
    for name in [part.partition("[")[0] for part in key.split(".") if part]:
        if (field := section.model_fields.get(name)) is None:
            return None
        found = [one for one in _leaves(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if not found:
            return None
        section = found[0]
    return section  # type: ignore[no-any-return]


def _leaves(annotation: Any) -> list[Any]:
    inner = get_args(annotation)
    return [leaf for one in inner for leaf in _leaves(one)] if inner else [annotation]


def fields_of(root: type[BaseModel], key: str) -> list[str]:
    """The settings there are under a dotted key; all sections for the empty key."""
    section = _section(root, key)
    return list(section.model_fields) if section else []


def _range(root: type[BaseModel], key: str) -> str:
    """The bounds of a number, as a person writes them: `in (0, 1]`, `at least 1`."""
    parent, _, name = key.rpartition(".")
    section = _section(root, parent)
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
