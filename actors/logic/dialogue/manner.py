"""The program that has a model say who talks to an assistant, and how, from the assistant's own instructions."""

from __future__ import annotations

from dataclasses import dataclass

from actors.logic.dialogue.faults import clean
from actors.logic.dialogue.speaking import Ask, Voice, request
from actors.prompts import load, render
from cluster.chat import ChatModel, Role
from cluster.errors import CallFailed, FailureKind


@dataclass(frozen=True, slots=True)
class MannerCall:
    """For one run: a description of its correspondents."""

    respondent_prompt: str
    seed: int
    max_tokens: int

    @property
    def item_id(self) -> str:
        return "correspondent_prompt"

    async def run(self, chat: ChatModel) -> str:
        """Raises `CallFailed`, also where the description is empty or cut off."""
        ask = Ask(render(load("correspondent_written"), respondent_prompt=self.respondent_prompt), 0.5)
        voice = Voice(chat, self.item_id, self.seed, self.max_tokens)
        answer = await chat.answer(request(voice, Role.CORRESPONDENT, ask, "1"))
        text = clean(answer.text)
        if not text or answer.finish_reason == "length":
            raise CallFailed(FailureKind.EMPTY, "no description of those who talk to the assistant was written")
        return text
