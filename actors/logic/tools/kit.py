"""The tools of a run, and where their results come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from actors.logic.tools.listing import Tool, read_tools
from cluster.tool_calls import ToolCall, Tools


class Results(Protocol):
    """The user's functions. Picklable: it goes to where dialogues are run."""

    async def result(self, call: ToolCall) -> str:
        """What a valid call brings, as the content of a tool's message; a failure is told there, not raised."""


@dataclass(frozen=True)
class ToolKit:
    """`text` is the list as JSON. Without `functions` a model plays the tools, of whose results a share `errors` are
    realistic errors. `max_calls` are those to one message of the user."""

    text: str
    functions: Results | None = None
    max_calls: int = 8
    errors: float = 0.0

    @cached_property
    def listing(self) -> Tools:
        """As it is sent."""
        found: Tools = json.loads(self.text)
        return found

    @cached_property
    def tools(self) -> tuple[Tool, ...]:
        return read_tools(self.listing, "tools")
