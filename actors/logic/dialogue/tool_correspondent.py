"""Who asks an assistant that has tools: the persona, whose first message is something that needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from actors.logic.dialogue.correspondent import Correspondent, SmallCorrespondent
from actors.logic.dialogue.speaking import Ask
from actors.logic.dialogue.turns import Turn
from actors.logic.tools import Tool
from actors.logic.tools.naming import named_in
from actors.prompts import load, render
from cluster.chat import ChatAnswer, Role, words_of


@dataclass(frozen=True, slots=True)
class ToolCorrespondent:
    """`base` with another first message; it is told what the tools do, and must not speak of them."""

    base: Correspondent | SmallCorrespondent
    tools: tuple[Tool, ...]

    @property
    def role(self) -> Role:
        return self.base.role

    @property
    def cuts(self) -> bool:
        return self.base.cuts

    def ask(self, turns: Sequence[Turn]) -> Ask:
        if turns:
            return self.base.ask(turns)
        [opening] = render(load("correspondent_tools"), tools="\n".join(map(_ability, self.tools)))
        if isinstance(self.base, Correspondent):
            return self.base.asking(opening["content"])
        ask = self.base.ask(turns)
        *before, last = ask.messages
        told = f"{words_of(last)}\n\n{opening['content']}"
        return replace(ask, messages=[*before, {"role": "user", "content": told}])

    def text(self, answer: ChatAnswer) -> str:
        return self.base.text(answer)

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        if name := named_in(text, self.tools):
            return f"names the tool {name}"
        return self.base.fault(text, turns)

    def shas(self, exchanges: int) -> list[str]:
        """Of the templates that its messages are asked for with, and of what those tell beside the persona."""
        return [*self.base.shas(exchanges), load("correspondent_tools").sha]


def _ability(tool: Tool) -> str:
    taken = f" (it has to know: {', '.join(tool.required)})" if tool.required else ""
    return f"- {tool.name}: {tool.description}{taken}"
