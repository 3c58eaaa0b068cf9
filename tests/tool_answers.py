"""What the tests' model server answers where tools are: calls whose arguments fit their schemas, and, as a tool itself,
results. Its faults are calls that are none.

An assistant calls after a message of the user, and again after the results of one round in three.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Fill = Callable[[dict[str, Any]], object]
Below = Callable[[int], int]

FAULTS = (
    "bad_json_call",  # arguments that are no JSON
    "unknown_tool",
    "misfit_call",  # arguments off the schema
    "misfit_once",  # the same, but right after an error
    "text_call",  # the call as text, in tags
    "no_call",  # a message where tools are
    "parallel_calls",  # three calls at once
)
_CALL = re.compile(r"<call>\n(\w+)\(", re.DOTALL)


def calls_of_tools(body: dict[str, Any], fill: Fill, below: Below, fault: str) -> list[dict[str, Any]]:
    """The entries of `tool_calls` in the answer to a request; none where it is a message. `fill` makes a value of a
    schema, `below` chooses."""
    tools, messages = body.get("tools"), body["messages"]
    choice = body.get("tool_choice", "auto")
    if not tools or choice == "none" or fault == "no_call":
        return []
    failed = messages[-1]["role"] == "tool" and '"error"' in messages[-1]["content"]
    since = [one["role"] for one in messages[_last_of_the_user(messages) :]]
    if since[-1] == "tool" and not failed and (since.count("assistant") > 1 or below(3)) and choice == "auto":
        return []
    count = 3 if fault == "parallel_calls" else 1 + (below(3) == 0)
    calls = [_call(tools[below(len(tools))]["function"], fill, below) for _ in range(count)]
    if fault in ("bad_json_call", "unknown_tool", "misfit_call") or (fault == "misfit_once" and not failed):
        _spoil(calls[below(count)]["function"], fault)
    return calls


def _last_of_the_user(messages: list[dict[str, Any]]) -> int:
    return max((at for at, one in enumerate(messages) if one["role"] == "user"), default=0)


def _call(function: dict[str, Any], fill: Fill, below: Below) -> dict[str, Any]:
    arguments = json.dumps(fill(function.get("parameters") or {"type": "object"}), ensure_ascii=False)
    named = {"name": function["name"], "arguments": arguments}
    return {"id": f"call_{below(1 << 32):08x}", "type": "function", "function": named}


def _spoil(function: dict[str, str], fault: str) -> None:
    if fault == "bad_json_call":
        function["arguments"] = function["arguments"][:-1]
    elif fault == "unknown_tool":
        function["name"] += "_v2"
    else:
        arguments = json.loads(function["arguments"])
        function["arguments"] = json.dumps({name: [{"not": "this"}] for name in arguments} or [])


def as_text(calls: list[dict[str, Any]]) -> str:
    """Calls as models write them that have no field for them."""
    told = [{"name": one["function"]["name"], "arguments": json.loads(one["function"]["arguments"])} for one in calls]
    return "\n".join(f"<tool_call>\n{json.dumps(one, ensure_ascii=False)}\n</tool_call>" for one in told)


def result_of_tool(text: str, sentence: Callable[[], str], below: Below) -> dict[str, object] | None:
    """What a tool answers that the server plays; None where `text`, the last message, asks for no result."""
    if called := _CALL.search(text):
        if 'JSON alone: {"error"' in text:
            return {"error": f"503: {called[1]} is down"}
        return {"tool": called[1], "found": sentence(), "count": below(100)}
    return None
