"""A tool played by a model: what it would answer in the world of the document and of all that tools said before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import JsonValue, RootModel

from actors.logic.dialogue.speaking import TRIES, Ask, Voice, ask_once
from actors.logic.dialogue.turns import Turn
from actors.logic.sampling import derived_rng
from actors.logic.tools.content import content_of, is_error
from actors.logic.tools.listing import Tool
from actors.prompts import load, render
from cluster.chat import Message, Role, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.structured import Misread, read
from cluster.tool_calls import ToolCall

PROMPTS = ("tool", "tool_world", "tool_world_free", "tool_result", "tool_error")
_MOST_EARLIER = 12_000  # characters of earlier results that are told, the last ones
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
    "additionalProperties": False,
}


class _Object(RootModel[dict[str, JsonValue]]):
    """What a tool answers."""


@dataclass(frozen=True, slots=True)
class Played:
    """What the tool said, as the content of its message, and what that cost."""

    content: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Player:
    """Plays tools in the world of `document`, which may be empty. Of the calls a share `errors` fails, as real tools
    do; the place of a call decides which."""

    document: str
    errors: float

    async def play(self, voice: Voice, tool: Tool, call: ToolCall, turns: Sequence[Turn], step: str) -> Played:
        """What the tool says to a call after `turns`. Raises `CallFailed` when no try brings a JSON object."""
        fails = derived_rng(voice.seed, voice.place, step, "error").random() < self.errors
        ask = Ask(self._messages(tool, call, turns, fails), 0.5, _ERROR if fails else None)
        spent, fault = Usage(), CallFailed(FailureKind.EMPTY, "no answer", TRIES)
        for attempt in range(1, TRIES + 1):
            answer = await ask_once(voice, Role.TOOL, ask, step, attempt)
            if isinstance(answer, CallFailed):
                fault = answer
                continue
            spent += answer.usage
            if answer.finish_reason == "length":
                said = f"the tool {tool.name} stopped at {voice.max_tokens} tokens"
                fault = CallFailed(FailureKind.TRUNCATED, said, attempt)
                continue
            try:
                content = content_of(read(answer.text, _Object).root)
            except (Misread, ValueError) as why:
                fault = CallFailed(FailureKind.MALFORMED, f"the tool {tool.name} answered no result: {why}", attempt)
                continue
            if not fails or is_error(content):
                return Played(content, spent)
            fault = CallFailed(FailureKind.MALFORMED, f"the tool {tool.name} was to fail, and told no error", attempt)
        raise fault

    def _messages(self, tool: Tool, call: ToolCall, turns: Sequence[Turn], fails: bool) -> list[Message]:
        about = {"document": self.document} if self.document else {}
        [world] = render(load("tool_world" if self.document else "tool_world_free"), **about)
        [outcome] = render(load("tool_error" if fails else "tool_result"))
        told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        values = {
            "tool": json.dumps(told, ensure_ascii=False),
            "world": world["content"],
            "earlier": "\n".join(_earlier(turns))[-_MOST_EARLIER:] or "There are none yet.",
            "call": f"{call.name}({call.arguments})",
            "outcome": outcome["content"],
        }
        return list(render(load("tool"), **values))


def _earlier(turns: Sequence[Turn]) -> Iterator[str]:
    calls = {call.id: call for turn in turns for call in turn.tool_calls}
    for turn in turns:
        if turn.tool_call_id and (call := calls.get(turn.tool_call_id)):
            yield f"{call.name}({call.arguments}) → {turn.content}"
