"""What tools add to the calls and tokens of an exchange, by stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass

from actors.prompts import load as load_prompt
from pipelines.settings import Settings
from pipelines.talk_tools import tool_kit

_CHARACTERS_PER_TOKEN = 4
CALL_TOKENS, RESULT_TOKENS = 40, 120


@dataclass(frozen=True, slots=True)
class ToolCost:
    """Of one exchange: how many calls the assistant makes, for how many of them a model plays the tool, and the tokens
    that the list adds to each request of the assistant, and the prompt of a played tool has."""

    calls: int = 0
    played: int = 0
    listed_tokens: int = 0
    played_tokens: int = 0

    @property
    def basis(self) -> str:
        """The assumption in words, empty where there are no tools."""
        by = "a model" if self.played else "functions"
        return f", one tool call an exchange, answered by {by}" if self.calls else ""


def tool_cost(settings: Settings) -> ToolCost:
    """`UserError` where the tools cannot be used."""
    if (kit := tool_kit(settings)) is None:
        return ToolCost()
    listed = len(kit.text) // _CHARACTERS_PER_TOKEN
    if kit.functions:
        return ToolCost(1, 0, listed)
    template = sum(len(load_prompt(name).text) for name in ("tool", "tool_world", "tool_result"))
    return ToolCost(1, 1, listed, template // _CHARACTERS_PER_TOKEN + listed // len(kit.tools) + CALL_TOKENS)
