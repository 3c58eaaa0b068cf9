"""Tasks: single texts in place of a talk, as Persona Hub makes them (Ge et al. 2024, arXiv:2406.20094), or as a
template of the user's own asks for them.

Where a task is a question, the model writes what a user asks, and the respondent may answer it. Else the template is
itself what the user asks, and the respondent's answer is the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actors.logic.dialogue.faults import clean_question, refuses
from actors.logic.dialogue.speaking import Ask
from actors.logic.dialogue.turns import Turn
from actors.prompts import Prompt, load, own, render
from cluster.chat import ChatAnswer, Message, Role

QUESTIONS = ("instruction", "math", "reasoning")
TEXTS = ("knowledge", "npc", "tool")


@dataclass(frozen=True, slots=True)
class Task:
    """One of `QUESTIONS` or `TEXTS`, or a question of the user's own, with the text of its template.

    An own template has a place `{persona}`, unless nobody is put before the model, and may have one for `{document}`.
    """

    name: str
    template: str = ""
    is_conditioned: bool = True

    @property
    def is_question(self) -> bool:
        return self.name not in TEXTS

    def prompt(self) -> Prompt:
        """`UserError` where the user's own cannot be used."""
        if not self.template:
            return load(f"task_{self.name}")
        required = ["persona"] if self.is_conditioned else []
        return own(f"conversations.strategy ({self.name})", self.template, required, ["document"])

    def messages(self, persona: str, document: str) -> list[Message]:
        """What the model, or for a text the assistant, is asked; empty texts are left out."""
        prompt, told = self.prompt(), {"persona": persona, "document": document}
        if "about" not in prompt.fields:
            return [*render(prompt, **{name: told[name] for name in prompt.fields})]
        blocks = [render(load(f"about_{name}"), **{name: text})[0] for name, text in told.items() if text]
        about = "\n\n".join(block["content"] for block in blocks) or load("about_anything").text
        return [*render(prompt, about=about)]

    def shas(self, persona: bool, document: bool) -> list[str]:
        """Of the templates."""
        prompt = self.prompt()
        if "about" not in prompt.fields:
            return [prompt.sha]
        used = [load("about_persona").sha] * persona + [load("about_document").sha] * document
        return [prompt.sha, *(used or [load("about_anything").sha])]


@dataclass(frozen=True, slots=True)
class Setter:
    """Who writes the question of a task."""

    task: Task
    persona: str
    document: str
    role: Role = Role.CORRESPONDENT
    cuts: bool = False

    def ask(self, turns: Sequence[Turn]) -> Ask:
        return Ask(self.task.messages(self.persona, self.document), 0.9)

    def text(self, answer: ChatAnswer) -> str:
        return clean_question(answer.text)

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        return "refuses to write it" if refuses(text) else None
