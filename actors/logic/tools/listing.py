"""A list of tools as OpenAI has it, checked before anybody is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool; `parameters` is the JSON Schema of its arguments, an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    @property
    def properties(self) -> list[str]:
        """The names of the arguments that the schema names."""
        return list(self.parameters.get("properties", {}))

    @property
    def required(self) -> list[str]:
        return list(self.parameters.get("required", []))


def read_tools(content: object, source: str) -> tuple[Tool, ...]:
    """The tools of a list, decoded from JSON. `UserError` naming `source`, the tool, and what is wrong with it."""
    if not isinstance(content, list):
        raise UserError(f"{source} is no list of tools; it should be [{{'type': 'function', 'function': {{…}}}}, …]")
    if not content:
        raise UserError(f"{source} has no tool; name at least one")
    tools = tuple(_tool(entry, f"{source}: tool {number}") for number, entry in enumerate(content, 1))
    names = [tool.name for tool in tools]
    for number, name in enumerate(names, 1):
        if (first := names.index(name) + 1) < number:
            raise UserError(f"{source}: tool {number} is named {name}, as tool {first} is; give each its own name")
    return tools


def _tool(entry: object, place: str) -> Tool:
    if not isinstance(entry, dict) or entry.get("type") != "function" or not isinstance(entry.get("function"), dict):
        raise UserError(f"{place} must have type: function and a section function")
    function = entry["function"]
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"{place}: its name must be 1 to 64 letters, digits, _ and -, got {str(name)[:80]!r}")
    place = f"{place} ({name})"
    if not isinstance(description, str) or not description.strip():
        raise UserError(f"{place} has no description, by which a model tells when to call it")
    parameters = function.get("parameters") or _NO_PARAMETERS
    if fault := _fault(parameters):
        raise UserError(f"{place}: its parameters {fault}")
    return Tool(name, description.strip(), parameters)


def _fault(schema: object) -> str:
    """Why it is no JSON Schema of an object, empty where it is one."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for

    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "must be a JSON Schema with type: object"
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        place = "".join(f"[{step!r}]" for step in error.absolute_path)
        return f"are no valid JSON Schema{f' at {place}' if place else ''}: {error.message[:200]}"
    lost = (one for one in _references(schema) if not _leads_somewhere(one, schema))
    if reference := next(lost, ""):
        return f"refer to {reference}, which is not in them; put it under $defs"
    return ""


def _references(schema: object) -> Iterator[str]:
    """The `$ref`s of every depth."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key not in ("enum", "const", "default", "examples"):
                yield from _references(value)
    elif isinstance(schema, list):
        for one in schema:
            yield from _references(one)


def _leads_somewhere(reference: str, schema: Mapping[str, Any]) -> bool:
    """Whether it resolves within the schema; nothing is fetched."""
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    specification = specification_with(str(schema.get("$schema") or Draft202012Validator.META_SCHEMA["$id"]))
    resource = specification.create_resource(schema)
    try:
        Registry().with_resource("", resource).resolver().lookup(reference)
    except Unresolvable:
        return False
    return True
