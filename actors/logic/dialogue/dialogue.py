"""The program of one dialogue: a persona (correspondent) and an assistant (respondent) in turns about a document.

Where there is none, it is about what moves the persona.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from actors.logic.dialogue.correspondent import Correspondent, SmallCorrespondent
from actors.logic.dialogue.respondent import Respondent, with_document
from actors.logic.dialogue.scene import Context, DialogueRule, Scene
from actors.logic.dialogue.speaking import Voice, say
from actors.logic.dialogue.turns import Conversation, Turn
from actors.prompts import load
from cluster.chat import ChatModel, Usage


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A scene, made by the rule. The row's system message is the one that the respondent had, so that the row holds all
    that its answers rest on."""

    scene: Scene
    rule: DialogueRule

    @property
    def item_id(self) -> str:
        return self.scene.conversation_id

    async def run(self, chat: ChatModel) -> Conversation:
        """Raises `CallFailed` when no try of a turn brings a message (`actors.logic.dialogue.faults`)."""
        return await self._talk(Voice(chat, self.scene.conversation_id, self.rule.seed, self.rule.max_tokens))

    async def _talk(self, voice: Voice) -> Conversation:
        asks, answers = self._correspondent(), Respondent(self._system(), self.rule.small_model)
        turns: list[Turn] = []
        usage, models = Usage(), ("", "")
        for exchange in range(self.rule.max_turns):
            asked = await say(voice, asks, turns, str(exchange))
            turns.append(Turn("user", asked.text))
            reply = await answers.answer(voice, turns, str(exchange))
            turns += reply.turns
            usage, models = usage + asked.usage + reply.usage, (asked.model, reply.model)
        return Conversation([Turn("system", reply.system), *turns], *models, usage)

    def prompt_shas(self) -> dict[str, str]:
        """12 hex digits for each speaker: the templates that its messages are asked for with, and, of the respondent,
        the instructions that the config gives it."""
        names = self._correspondent().prompts(self.rule.max_turns)
        grounds = [load("respondent_context").sha] * (self.rule.context is Context.DOCUMENT)
        return {
            "correspondent": _sha(load(name).sha for name in names),
            "respondent": _sha([self.rule.respondent_prompt, *grounds]),
        }

    def _correspondent(self) -> Correspondent | SmallCorrespondent:
        kind = SmallCorrespondent if self.rule.small_model else Correspondent
        return kind(self.scene.persona, self.scene.document)

    def _system(self) -> str:
        prompt = self.rule.respondent_prompt
        return with_document(prompt, self.scene.document) if self.rule.context is Context.DOCUMENT else prompt


def _sha(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
