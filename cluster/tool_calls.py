"""Calls of tools as they travel: in messages of OpenAI's format, and, where an endpoint takes no `tools`, in words.

Many models answer a call as text, in the form that they were trained on; it is read here as well. Whether a call fits
its tool is for who asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import json_repair

Tools = Sequence[Mapping[str, object]]
"""A list of tools as OpenAI has it: `{"type": "function", "function": {"name", "description", "parameters"}}`."""

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_FENCED = re.compile(r"```(?:json|tool_call)?[^\S\n]*\n(.*?)```", re.DOTALL)
_BEFORE = re.compile(r"^(?:\[TOOL_CALLS\]|<\|python_tag\|>)\s*")
_NAMED = re.compile(r'"name"\s*:.*"(?:arguments|parameters)"\s*:', re.DOTALL)
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model makes; `arguments` is JSON as the model wrote it, which need not be JSON."""

    id: str
    name: str
    arguments: str

    def as_message(self) -> dict[str, object]:
        """As an entry of a message's `tool_calls`."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def told_calls(entries: object) -> tuple[ToolCall, ...]:
    """The calls in a message's `tool_calls`; none where it is no list of such."""
    found = []
    for entry in entries if isinstance(entries, list) else []:
        function = entry.get("function") if isinstance(entry, dict) else None
        if isinstance(function, dict):
            told = function.get("arguments")
            arguments = told if isinstance(told, str) else "" if told is None else _compact(told)
            found.append(ToolCall(str(entry.get("id") or ""), str(function.get("name") or ""), arguments))
    return tuple(found)


def calls_in_text(text: str) -> tuple[tuple[ToolCall, ...], str]:
    """The calls that a model wrote as text, without ids, and what else it said.

    Understood are `<tool_call>` tags, and JSON that is all of the text, of each of its lines, or fenced: a call, a list
    of calls, or calls and an answer as `calls_schema` has them. What is a call by its looks and cannot be read is one
    without a name.
    """
    text = text.rpartition("</think>")[2].strip()
    if tagged := _TAGGED.findall(text):
        calls = [call for inner in tagged for call in _tagged(inner)]
        return tuple(calls), _TAGGED.sub("", text).strip()
    whole = _BEFORE.sub("", text)
    fenced = _FENCED.search(whole)
    for found, rest in ((whole, ""), *([(fenced[1], _FENCED.sub("", whole).strip())] if fenced else [])):
        value = _parsed(found)
        if calls := list(_calls(value)):
            return tuple(calls), rest
        if isinstance(value, dict) and value.keys() <= {"tool_calls", "answer"} and "answer" in value:
            return (), str(value["answer"])
    if whole[:1] in ("{", "[") and _NAMED.search(whole):
        return tuple(_written(whole)), ""
    return (), text


def _written(text: str) -> list[ToolCall]:
    """The calls of a text that is one by its looks: a line each, or one that is broken."""
    lines = [_parsed(line) for line in text.splitlines() if line.strip()]
    return list(_calls(lines)) if all(lines) else _tagged(text)


def _tagged(inner: str) -> list[ToolCall]:
    try:
        calls = list(_calls(_parsed(inner) or json_repair.loads(inner)))
    except (ValueError, RecursionError):
        calls = []
    return calls or [ToolCall("", "", inner.strip())]


def _calls(value: object) -> Iterator[ToolCall]:
    if isinstance(value, list):
        for one in value:
            yield from _calls(one)
    elif isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        yield from _calls(value["tool_calls"])
    elif isinstance(value, dict) and isinstance(value.get("function"), dict):
        yield from _calls(value["function"])
    elif isinstance(value, dict) and isinstance(name := value.get("name"), str):
        arguments = value.get("arguments", value.get("parameters"))
        if isinstance(arguments, dict):
            yield ToolCall("", name, _compact(arguments))
        elif isinstance(arguments, str):
            yield ToolCall("", name, arguments)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
