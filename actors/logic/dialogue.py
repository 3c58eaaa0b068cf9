"""The program of one dialogue: a persona (correspondent) and an assistant (respondent) in turns about a document.

Where there is none, it is about what moves the persona.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import json_repair

from actors.logic.persona import normalise_space
from actors.logic.sampling import derived_rng
from actors.prompts import load, render
from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Message, Role, Usage
from cluster.errors import CallFailed, FailureKind

TRIES = 3
_STARTS = "What|How|Why|When|Where|Who|Which|Can|Could|Should|Do|Does|Is"
_ONE_QUESTION = {
    "type": "object",
    "properties": {"message": {"type": "string", "pattern": rf"""^({_STARTS}) [^".;:?!\n]+\?$"""}},
    "required": ["message"],
    "additionalProperties": False,
}


class Context(StrEnum):
    """What the respondent knows of the document."""

    NONE = "none"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message as it goes into the dataset."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A finished dialogue: its messages, who spoke with which model, and what it cost."""

    turns: list[Turn]
    correspondent_model: str
    respondent_model: str
    usage: Usage


def conversation_id(seed: int, document_id: str, lap: int, ordinal: int) -> str:
    """24 hex digits: the `ordinal`-th dialogue that this document owes in round `lap`, in every run of this seed."""
    return hashlib.sha256(f"{seed}\x1f{document_id}\x1f{lap}\x1f{ordinal}".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What one dialogue is to be. The persona stands in every correspondent call, before all that was said.
    `document` is empty where there is none to talk about.

    `max_turns` exchanges are made, each a user and an assistant message. The row's system message is the one that the
    respondent had, so that the row holds all that its answers rest on. For a `small_model` the correspondent is shown
    examples and held to one question, and an answer that runs on is cut after its last whole sentence.
    """

    conversation_id: str
    document_id: str
    persona_id: str
    persona: str
    persona_generation_depth: int
    document: str
    respondent_prompt: str
    max_turns: int
    context: Context
    seed: int
    max_tokens: int = 1024
    small_model: bool = False

    @property
    def item_id(self) -> str:
        return self.conversation_id

    async def run(self, chat: ChatModel) -> Conversation:
        """Raises `CallFailed` when a turn stays empty, repeats an earlier one or is cut off on every try."""
        system = self._respondent_system()
        turns: list[Turn] = []
        usage, models = Usage(), {"user": "", "assistant": ""}
        for exchange in range(self.max_turns):
            for role, speaker in ((Role.CORRESPONDENT, "user"), (Role.RESPONDENT, "assistant")):
                messages = self._as_correspondent(turns) if speaker == "user" else [system, *_plain(turns)]
                text, answer, spent = await self._say(chat, role, messages, exchange, turns)
                turns.append(Turn(speaker, text))
                usage, models[speaker] = usage + spent, answer.model
        return Conversation(
            [Turn("system", system["content"]), *turns],
            models["user"],
            models["assistant"],
            usage,
        )

    def prompt_shas(self) -> dict[str, str]:
        """12 hex digits for each speaker: the templates that its messages are asked for with, and, of the respondent,
        the instructions that the config gives it."""
        small, about = "_small" if self.small_model else "", bool(self.document)
        names = [f"correspondent{small}"]
        if self.small_model:
            names[0] += "" if about else "_life"
        else:
            names += ["grounds_document" if about else "grounds_life", "correspondent_opening"]
        names += [f"correspondent{small}_next"] * (self.max_turns > 1)
        grounds = [load("respondent_context").sha] * (self.context is Context.DOCUMENT)
        return {
            "correspondent": _sha(load(name).sha for name in names),
            "respondent": _sha([self.respondent_prompt, *grounds]),
        }

    async def _say(
        self, chat: ChatModel, role: Role, messages: list[Message], exchange: int, turns: list[Turn]
    ) -> tuple[str, ChatAnswer, Usage]:
        said = {normalise_space(turn.content) for turn in turns}
        spent, fault = Usage(), CallFailed(FailureKind.EMPTY, "no answer", TRIES)
        for attempt in range(1, TRIES + 1):
            try:
                answer = await chat.answer(self._request(role, messages, exchange, attempt))
            except CallFailed as failure:
                if failure.kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED):
                    raise
                fault = CallFailed(failure.kind, failure.message, attempt)
                continue
            spent += answer.usage
            text = self._text(role, answer)
            if not text:
                fault = CallFailed(FailureKind.EMPTY, f"the {role} said nothing", attempt)
            elif answer.finish_reason == "length" and not self.small_model:
                fault = CallFailed(FailureKind.TRUNCATED, f"the {role} stopped at {self.max_tokens} tokens", attempt)
            elif normalise_space(text) in said:
                fault = CallFailed(FailureKind.MALFORMED, f"the {role} repeats an earlier message", attempt)
            else:
                return text, answer, spent
        raise fault

    def _request(self, role: Role, messages: list[Message], exchange: int, attempt: int) -> ChatRequest:
        place = f"{self.conversation_id}/{exchange}/{role}/{attempt}"
        return ChatRequest(
            role=role,
            messages=messages,
            item=place,
            max_tokens=self.max_tokens,
            temperature=self._temperature(role),
            seed=derived_rng(self.seed, place).getrandbits(31),
            schema=_ONE_QUESTION if self.small_model and role is Role.CORRESPONDENT else None,
        )

    def _temperature(self, role: Role) -> float:
        if self.small_model:  # above these a small model loses itself
            return 0.6 if role is Role.CORRESPONDENT else 0.3
        return 0.9 if role is Role.CORRESPONDENT else 0.7

    def _text(self, role: Role, answer: ChatAnswer) -> str:
        if not self.small_model:
            return clean(answer.text)
        if role is Role.CORRESPONDENT:
            found = json_repair.loads(answer.text)
            return clean(str(found.get("message", ""))) if isinstance(found, dict) else ""
        whole = answer.finish_reason != "length"
        return clean(answer.text if whole else answer.text[: answer.text.rfind(". ") + 1])

    def _respondent_system(self) -> Message:
        if self.context is Context.NONE:
            return {"role": "system", "content": self.respondent_prompt}
        prompt = load("respondent_context")
        [message] = render(prompt, respondent_prompt=self.respondent_prompt, document=self.document)
        return {"role": "system", "content": message["content"]}

    def _as_correspondent(self, turns: list[Turn]) -> list[Message]:
        """The dialogue from the persona's side: its own messages are the assistant's, the last answer asks it on."""
        if self.small_model:
            return self._as_small_correspondent(turns)
        about = {"document": self.document} if self.document else {}
        [grounds] = render(load("grounds_document" if about else "grounds_life"), **about)
        [system] = render(load("correspondent"), persona=self.persona, grounds=grounds["content"])
        messages: list[Message] = [{"role": "system", "content": system["content"]}]
        messages += render(load("correspondent_opening"))
        for turn in turns:
            messages.append({"role": "assistant" if turn.role == "user" else "user", "content": turn.content})
        if turns:
            [ask] = render(load("correspondent_next"))
            messages[-1] = {"role": "user", "content": f"{turns[-1].content}\n\n({ask['content']})"}
        return messages

    def _as_small_correspondent(self, turns: list[Turn]) -> list[Message]:
        if turns:
            return [*render(load("correspondent_small_next"), persona=self.persona, answer=turns[-1].content)]
        if not self.document:
            return [*render(load("correspondent_small_life"), persona=self.persona)]
        return [*render(load("correspondent_small"), persona=self.persona, document=self.document)]


def _sha(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:12]


def _plain(turns: list[Turn]) -> list[Message]:
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def clean(text: str) -> str:
    """A message without the quotes or the speaker's name that models put around it."""
    text = text.strip()
    for name in ("User:", "Assistant:", "Persona:", "Me:"):
        text = text.removeprefix(name).lstrip()
    quoted = len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1]
    return text[1:-1].strip() if quoted else text
