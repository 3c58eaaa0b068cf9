"""What is said: messages as they go into the dataset, and as models are given them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.chat import Message, Usage


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant makes; `arguments` is JSON, as OpenAI has it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: of the system, the user, the assistant, or of a tool, which answers the call `tool_call_id`."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def row(self) -> dict[str, object]:
        """As the column `messages` has it."""
        calls = [
            {"id": one.id, "type": "function", "function": {"name": one.name, "arguments": one.arguments}}
            for one in self.tool_calls
        ]
        return {
            "role": self.role,
            "content": self.content,
            "tool_calls": calls or None,
            "tool_call_id": self.tool_call_id,
        }


@dataclass(frozen=True, slots=True)
class Conversation:
    """A finished dialogue: its messages, who spoke with which model, and what it cost.

    `context_ids` are the ids of what the respondent was given to read, for each of its answers.
    """

    turns: list[Turn]
    correspondent_model: str
    respondent_model: str
    usage: Usage
    context_ids: tuple[tuple[str, ...], ...] = ()

    @property
    def asked(self) -> list[str]:
        """The user's messages."""
        return [turn.content for turn in self.turns if turn.role == "user"]


def plain(turns: Iterable[Turn]) -> list[Message]:
    """Turns without tools, as messages."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]
