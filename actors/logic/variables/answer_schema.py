"""The JSON schema of random variables as a model answers them: of each kind only the fields that it has.

What `Variables` reads has a place for every law in every variable and case. A model that has to fill or null all of
them writes three times as much, and a small one gets lost in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from actors.logic.variables.laws import Shape
from actors.logic.variables.spec import Kind

Schema = Mapping[str, object]

_TEXTS, _SHARES, _MAYBE = ({"$ref": f"#/$defs/{name}"} for name in ("texts", "shares", "maybe"))
_DEFINITIONS = {
    "texts": {"type": "array", "items": {"type": "string"}},
    "shares": {"type": "array", "items": {"type": "number"}},
    "maybe": {"type": ["number", "null"]},
}
_LAWS: Mapping[Kind, Mapping[str, object]] = {
    Kind.CATEGORICAL: {"values": _TEXTS, "probabilities": _SHARES},
    Kind.BINARY: {"probabilities": _SHARES},
    Kind.NUMERICAL: {
        "distribution": {"type": "string", "enum": [str(one) for one in Shape]},
        **dict.fromkeys(("mean", "sd", "min", "max"), _MAYBE),
        "decimals": {"type": "integer"},
    },
}


@cache
def answer_schema(least: int, most: int) -> Schema:
    """An object with `least` to `most` `variables`."""
    either = [_variable(kind, hangs) for hangs in (False, True) for kind in _LAWS]
    variables = {"type": "array", "items": {"anyOf": either}, "minItems": least, "maxItems": most}
    return {**_object({"variables": variables}), "$defs": _DEFINITIONS}


def _variable(kind: Kind, hangs: bool) -> Schema:
    """One that is given nothing, or that hangs on others and has a law for each case of them."""
    named: dict[str, object] = {"name": {"type": "string"}, "kind": {"type": "string", "enum": [str(kind)]}}
    law = dict(_LAWS[kind])
    if not hangs:
        return _object(named | law)
    cases = {"type": "array", "items": _object({"when": _TEXTS} | law), "minItems": 2}
    return _object(named | {"given": _TEXTS, "cases": cases})


def _object(properties: Mapping[str, object]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
