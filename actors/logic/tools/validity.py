"""Whether a call fits its tool, and what to tell who made one that does not."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from actors.logic.tools.listing import Tool
from cluster.tool_calls import ToolCall

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_FAULTS_TOLD = 3
_SHOWN = 200


def why_invalid(call: ToolCall, tools: Sequence[Tool]) -> str:
    """What is wrong with a call, in words that a model can act on; empty where it is valid."""
    tool = next((one for one in tools if one.name == call.name), None)
    if tool is None:
        return _unknown(call.name, [one.name for one in tools])
    try:
        arguments = arguments_of(call)
    except ValueError as error:
        return f"the arguments are no JSON: {error}"
    if not isinstance(arguments, dict):
        return "the arguments must be a JSON object"
    faults = sorted(_validator(json.dumps(tool.parameters)).iter_errors(arguments), key=lambda one: str(one.path))
    return "; ".join(_in_words(one) for one in faults[:_FAULTS_TOLD])


def arguments_of(call: ToolCall) -> Any:
    """The decoded arguments. Raises `ValueError` where they are no JSON; NaN is none."""
    try:
        return json.loads(call.arguments, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_object(call: ToolCall) -> bool:
    """Whether the arguments are a JSON object, whatever its tool takes."""
    try:
        return isinstance(arguments_of(call), dict)
    except ValueError:
        return False


def is_same(one: ToolCall, other: ToolCall) -> bool:
    """Whether two calls ask for the same, whatever the order of arguments."""
    try:
        return one.name == other.name and bool(arguments_of(one) == arguments_of(other))
    except ValueError:
        return False


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _unknown(name: str, known: Iterable[str]) -> str:
    if not name:
        return 'the call cannot be read; it needs a "name" and "arguments"'
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    asked = f"; did you mean {near[0]}?" if near else ""
    return f"there is no tool {name[:80]!r}; there are {', '.join(known)}{asked}"


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Validator:
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry

    parameters = json.loads(schema)
    kind = validator_for(parameters, default=Draft202012Validator)
    return kind(parameters, registry=Registry())  # its own registry fetches what is referred to elsewhere


def _in_words(error: Any) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path).lstrip(".")
    said = error.message if len(error.message) <= _SHOWN else f"{error.message[:_SHOWN]}…"
    return f"{place or 'the arguments'}: {said}"
