"""What is said: messages as they go into the dataset, and as models are given them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.chat import Message, Usage
from cluster.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: of the system, the user, the assistant, or of a tool, which answers the call `tool_call_id`."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def row(self) -> dict[str, object]:
        """As the column `messages` has it."""
        return {
            "role": self.role,
            "content": self.content,
            "tool_calls": [one.as_message() for one in self.tool_calls] or None,
            "tool_call_id": self.tool_call_id,
        }

    def message(self) -> Message:
        """As a model is given it."""
        about = {"tool_calls": [one.as_message() for one in self.tool_calls]} if self.tool_calls else {}
        answers = {"tool_call_id": self.tool_call_id} if self.tool_call_id else {}
        return {"role": self.role, "content": self.content, **about, **answers}


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
    """Turns as messages."""
    return [turn.message() for turn in turns]


def heard(turns: Iterable[Turn]) -> list[Turn]:
    """What a user hears of a dialogue: neither calls of tools nor what these said."""
    return [turn for turn in turns if turn.role != "tool" and not turn.tool_calls]
