"""Tools for an endpoint that takes none: the list stands in the prompt, and calls are asked for as JSON of a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.chat import ChatRequest, Message, ToolChoice, words_of
from cluster.schema import in_words
from cluster.tool_calls import Tools, told_calls

_MOST_AT_ONCE = 8
_LISTED = """\
You have these tools:
{tools}

To call some, answer with JSON that holds the calls in "tool_calls" and an empty "answer"; their results are the next \
message. To answer without them, leave "tool_calls" empty and write the message into "answer"."""


def asked_in_words(request: ChatRequest) -> tuple[list[Message], Mapping[str, object]]:
    """The messages of a request that has tools, in plain roles, and the schema that its answer is to have."""
    messages = _plain(request.messages)
    assert request.tools is not None
    schema = calls_schema(request.tools, request.tool_choice)
    listed = _LISTED.format(tools="\n".join(json.dumps(one, ensure_ascii=False) for one in request.tools))
    if messages and messages[0]["role"] == "system":
        listed = f"{words_of(messages.pop(0))}\n\n{listed}"
    *before, last = messages
    asked = {"role": last["role"], "content": f"{words_of(last)}\n\n{in_words(schema)}"}
    return [{"role": "system", "content": listed}, *before, asked], schema


def calls_schema(tools: Tools, choice: ToolChoice) -> dict[str, object]:
    """Of an answer that is calls, or a message; one of the two where the choice says so."""
    if choice is ToolChoice.NONE:
        return _object({"answer": {"type": "string"}})
    least = int(choice is ToolChoice.REQUIRED)
    calls = {"type": "array", "minItems": least, "maxItems": _MOST_AT_ONCE, "items": _call(tools)}
    return _object({"tool_calls": calls, "answer": {"type": "string"}})


def _call(tools: Tools) -> dict[str, object]:
    kinds: list[dict[str, object]] = []
    for tool in tools:
        function: Any = tool["function"]
        arguments = function.get("parameters") or {"type": "object"}
        if "$ref" in json.dumps(arguments):  # it leads to a place within its own schema
            arguments = {"type": "object"}
        kinds.append(_object({"name": {"type": "string", "enum": [function["name"]]}, "arguments": arguments}))
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _plain(messages: Sequence[Message]) -> list[Message]:
    """Calls as the JSON that they are asked for as, and what the tools said as messages of the user, put together."""
    plain: list[Message] = []
    names: dict[str, str] = {}
    for message in messages:
        calls = told_calls(message.get("tool_calls"))
        if calls:
            names |= {one.id: one.name for one in calls}
            entries = [{"name": one.name, "arguments": _value(one.arguments)} for one in calls]
            told = json.dumps({"tool_calls": entries, "answer": ""}, ensure_ascii=False)
            plain.append({"role": "assistant", "content": told})
        elif message["role"] == "tool":
            said = f"Result of {names.get(str(message.get('tool_call_id')), 'a tool')}: {words_of(message)}"
            before = plain[-1] if plain else None
            if before and before["role"] == "user":
                plain[-1] = {"role": "user", "content": f"{before['content']}\n\n{said}"}
            else:
                plain.append({"role": "user", "content": said})
        else:
            plain.append(message)
    return plain


def _value(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
