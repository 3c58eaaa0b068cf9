"""The program of one dialogue: a persona (correspondent) and an assistant (respondent) in turns about a document.

Where there is none, it is about what moves the persona.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.logic.dialogue.correspondent import Correspondent, SmallCorrespondent
from actors.logic.dialogue.looking_up import LookingUp
from actors.logic.dialogue.own import Asking, CallbackRequest
from actors.logic.dialogue.played_tools import PROMPTS, Player
from actors.logic.dialogue.respondent import Answers, Respondent, with_document, with_persona
from actors.logic.dialogue.scene import Context, DialogueRule, Scene
from actors.logic.dialogue.speaking import Said, Voice, say
from actors.logic.dialogue.tasks import Setter
from actors.logic.dialogue.tool_correspondent import ToolCorrespondent
from actors.logic.dialogue.tool_respondent import ToolRespondent
from actors.logic.dialogue.turns import Conversation, Turn, heard
from actors.logic.sampling import derived_rng
from actors.prompts import load
from cluster.chat import ChatModel, Role, Usage, words_of


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A scene, made by the rule. The row's system message is the one that the respondent had, so that the row holds all
    that its answers rest on."""

    scene: Scene
    rule: DialogueRule

    @property
    def item_id(self) -> str:
        return self.scene.conversation_id

    @property
    def ids(self) -> dict[str, str]:
        """For the log and for traces."""
        scene = self.scene
        return {
            "document": scene.document_id,
            "persona": scene.persona_id or "",
            "conversation": scene.conversation_id,
        }

    async def run(self, chat: ChatModel) -> Conversation:
        """Raises `CallFailed` when no try of a turn brings a message (`actors.logic.dialogue.faults`)."""
        voice = self.voice(chat)
        return await self.talk(voice, await self.open(voice))

    def voice(self, chat: ChatModel, *place: str, notes: Mapping[Role, str] | None = None) -> Voice:
        """For this dialogue's messages, at its own place or at one below it."""
        where = "/".join([self.scene.conversation_id, *place])
        return Voice(chat, where, self.rule.seed, self.rule.max_tokens, notes or {})

    async def open(self, voice: Voice) -> Said:
        """The first message. Raises as `say` does."""
        return await self._ask(voice, [], 0, "0")

    async def talk(self, voice: Voice, opening: Said) -> Conversation:
        """The opening, and all that follows it. Raises as `say` does, and `Uncalled` where the opening brings no call
        of a tool."""
        if not self.rule.is_answered:
            return Conversation([Turn("user", opening.text)], opening.model, "", opening.usage)
        system, usage = await self._system(voice, opening.text)
        answers = self._respondent(system)
        turns, context_ids = list[Turn](), list[tuple[str, ...]]()
        for number in range(self.rule.max_turns):
            asked = await self._ask(voice, heard(turns), number, str(number)) if number else opening
            reply = await answers.answer(voice, [*turns, Turn("user", asked.text)], str(number))
            turns += [Turn("user", asked.text), *reply.turns]
            context_ids.append(reply.context_ids)
            usage += asked.usage + reply.usage
        return Conversation([Turn("system", reply.system), *turns], asked.model, reply.model, usage, tuple(context_ids))

    async def _ask(self, voice: Voice, turns: Sequence[Turn], number: int, step: str) -> Said:
        task = self.rule.task
        if self.rule.opens and not number:
            return await self._opened(voice, step)
        if number or not task:
            return await say(voice, self._correspondent(), turns, step)
        about = self.scene.document if self.rule.context is Context.DOCUMENT or task.template else ""
        if task.is_question:
            return await say(voice, Setter(task, self.persona, about), turns, step)
        return Said(words_of(task.messages(self.persona, about)[-1]), "", Usage())

    async def _opened(self, voice: Voice, step: str) -> Said:
        """By the user's own code."""
        assert self.rule.opens
        asking = Asking(voice, Role.CORRESPONDENT, f"{step}/opens")
        text = await self.rule.opens.text(self._about(asking, ""))
        return Said(text, asking.model, asking.usage)

    def _about(self, asking: Asking, instruction: str) -> CallbackRequest:
        scene, voice = self.scene, asking.voice
        return CallbackRequest(
            respondent_prompt=self.rule.respondent_prompt,
            conversation_id=scene.conversation_id,
            document=scene.document,
            document_ids=scene.document_ids,
            persona=scene.persona or None,
            persona_id=scene.persona_id or None,
            persona_generation_depth=scene.persona_generation_depth if scene.persona_id else None,
            instruction=instruction,
            rng=derived_rng(voice.seed, voice.place, asking.step),
            asking=asking,
            loop=asyncio.get_running_loop(),
        )

    def prompt_shas(self) -> dict[str, str]:
        """12 hex digits for each speaker: the templates that its messages are asked for with, and, of each, what the
        config tells it."""
        rule, has_document = self.rule, self.rule.context is Context.DOCUMENT
        first = rule.task.shas(rule.asks_as_persona, has_document) if rule.task else []
        later = [] if first and rule.max_turns == 1 else self._correspondent().shas(rule.max_turns)
        opens, instructs = ([one.mark] if one else [] for one in (rule.opens, rule.instructs))
        grounds = [load("respondent_context").sha] * has_document
        grounds += [load("respondent_passages").sha] * (rule.context is Context.RAG)
        whom = [load("respondent_persona").sha] * rule.answers_to_persona
        tools = [rule.tools.text, *(load(name).sha for name in PROMPTS)] if rule.tools else []
        return {
            "correspondent": _sha([*first, *later, *opens]),
            "respondent": _sha([rule.respondent_prompt, *grounds, *whom, *tools, *instructs]),
        }

    @property
    def persona(self) -> str:
        """As those know it who ask."""
        return self.scene.persona if self.rule.asks_as_persona else ""

    def _correspondent(self) -> Correspondent | SmallCorrespondent | ToolCorrespondent:
        asks: Correspondent | SmallCorrespondent
        if self.rule.small_model:
            asks = SmallCorrespondent(self.persona, self.scene.document)
        else:
            asks = Correspondent(self.persona, self.scene.document, self.rule.manner)
        return ToolCorrespondent(asks, self.rule.tools.tools) if self.rule.tools else asks

    def _respondent(self, system: str) -> Answers:
        if retriever := self.rule.retriever:
            return LookingUp(system, retriever, self._answering)
        return self._answering(system)

    def _answering(self, system: str) -> Answers:
        answers, kit = Respondent(system, self.rule.small_model), self.rule.tools
        return ToolRespondent(answers, kit, Player(self.scene.document, kit.errors)) if kit else answers

    async def _system(self, voice: Voice, opening: str) -> tuple[str, Usage]:
        """The assistant's system message before anything is looked up, and what it cost."""
        system, usage = self.rule.respondent_prompt, Usage()
        if self.rule.instructs:
            asking = Asking(voice, Role.RESPONDENT, "instructs")
            system = await self.rule.instructs.text(self._about(asking, opening))
            usage = asking.usage
        elif self.rule.context is Context.DOCUMENT:
            system = with_document(system, self.scene.document)
        return with_persona(system, self.scene.persona) if self.rule.answers_to_persona else system, usage


def _sha(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]
