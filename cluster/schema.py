"""What an answer's JSON schema is: from a pydantic model to what strict endpoints take, and to words in a prompt.

Strict endpoints want every property named, required and nothing beside them, and know a part of JSON Schema's keywords
(platform.openai.com/docs/guides/structured-outputs); what they do not know is left out here, and left to pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from cluster.chat import Message, words_of

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = Mapping[str, object]

_BOUNDS = {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}
_KEPT = {"type", "description", "enum", "const", "pattern", *_BOUNDS}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}
_ASK = "Answer with JSON alone, without any other text, that fits this JSON schema:\n{schema}"


@cache
def strict_schema(shape: type[BaseModel]) -> Schema:
    """The schema of `shape` as strict endpoints take it. `TypeError` where they have no way to say it: a mapping with
    free keys, a tuple, or a field of any type."""
    whole = shape.model_json_schema()
    named = whole.pop("$defs", {})
    if "$ref" in whole:  # a shape that holds itself
        whole = named[whole["$ref"].rpartition("/")[2]]
    if "properties" not in whole:
        raise TypeError(f"{shape.__name__} is no object with fields of its own")
    definitions = {name: _strict(one, name) for name, one in named.items()}
    return _strict(whole, shape.__name__) | ({"$defs": definitions} if definitions else {})


def _strict(schema: dict[str, Any], place: str) -> dict[str, object]:
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    kept: dict[str, object] = {name: value for name, value in schema.items() if name in _KEPT}
    if schema.get("format") in _FORMATS:
        kept["format"] = schema["format"]
    if either := schema.get("anyOf") or schema.get("oneOf"):
        kept["anyOf"] = [_strict(one, place) for one in either]
    elif schema.get("type") == "object":
        if "properties" not in schema and "additionalProperties" in schema:
            raise TypeError(f"{place} is a mapping with free keys, which a strict schema cannot say; name its fields")
        fields = {name: _strict(one, f"{place}.{name}") for name, one in schema.get("properties", {}).items()}
        kept |= {"properties": fields, "required": list(fields), "additionalProperties": False}
    elif schema.get("type") == "array":
        if "prefixItems" in schema or "items" not in schema:
            raise TypeError(f"{place} is a tuple or a list of anything, which a strict schema cannot say")
        kept["items"] = _strict(schema["items"], f"{place}[]")
    elif not kept.keys() & {"type", "enum", "const"}:
        raise TypeError(f"{place} may be anything, which a strict schema cannot say")
    return kept


def with_schema(messages: Sequence[Message], schema: Schema) -> Sequence[Message]:
    """The messages, the last of which asks for JSON that fits the schema; unchanged where they do so already: by the
    word JSON, and by the schema itself or the name of each property in quotes."""
    text = schema_text(schema)
    said = "\n".join(map(words_of, messages))
    if "JSON" in said and (text in said or all(f'"{name}"' in said for name in _names(schema))):
        return messages
    *before, last = messages
    if last["role"] != "user":
        return [*messages, {"role": "user", "content": in_words(schema)}]
    return [*before, {"role": "user", "content": f"{words_of(last)}\n\n{in_words(schema)}"}]


def in_words(schema: Schema) -> str:
    """What tells a model to answer so, in a prompt."""
    return _ASK.format(schema=schema_text(schema))


def schema_text(schema: Schema) -> str:
    """The schema on one line."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def _names(schema: object) -> Iterator[str]:
    """The properties' names, of every depth."""
    if isinstance(schema, Mapping):
        for name, value in schema.items():
            if name == "properties" and isinstance(value, Mapping):
                yield from value
            yield from _names(value)
    elif isinstance(schema, (list, tuple)):
        for one in schema:
            yield from _names(one)
