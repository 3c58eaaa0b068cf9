"""One message of a dialogue: asked for until it is one, three tries in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.logic.dialogue.faults import repeats
from actors.logic.dialogue.turns import Turn
from actors.logic.sampling import derived_rng
from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Message, Role, Usage
from cluster.errors import CallFailed, FailureKind

TRIES = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """What a message is asked for with."""

    messages: Sequence[Message]
    temperature: float
    schema: Mapping[str, object] | None = None


class Speaker(Protocol):
    """Whose messages are asked for. `cuts` says that an answer which runs on is cut, and so is no fault."""

    @property
    def role(self) -> Role: ...

    @property
    def cuts(self) -> bool: ...

    def ask(self, turns: Sequence[Turn]) -> Ask:
        """For the message that follows `turns`."""

    def text(self, answer: ChatAnswer) -> str:
        """The message in an answer; empty where there is none."""

    def fault(self, text: str, turns: Sequence[Turn]) -> str | None:
        """Why a message cannot stand after `turns`, in the words of "the user …"."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Where the messages of a dialogue are asked for: `place` names the dialogue and the attempt at it."""

    chat: ChatModel
    place: str
    seed: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Said:
    """A message, who wrote it, and what all tries cost."""

    text: str
    model: str
    usage: Usage


async def say(voice: Voice, speaker: Speaker, turns: Sequence[Turn], step: str) -> Said:
    """The next message. Raises `CallFailed` when every try is empty, cut off, or has another fault."""
    ask, spent, fault = speaker.ask(turns), Usage(), CallFailed(FailureKind.EMPTY, "no answer", TRIES)
    for attempt in range(1, TRIES + 1):
        try:
            answer = await voice.chat.answer(request(voice, speaker.role, ask, f"{step}/{speaker.role}/{attempt}"))
        except CallFailed as failure:
            if failure.kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED):
                raise
            fault = CallFailed(failure.kind, failure.message, attempt)
            continue
        spent += answer.usage
        text = speaker.text(answer)
        if not (found := _fault(voice, speaker, turns, text, answer.finish_reason)):
            return Said(text, answer.model, spent)
        kind, why = found
        fault = CallFailed(kind, f"the {speaker.role} {why}", attempt)
    raise fault


def _fault(
    voice: Voice, speaker: Speaker, turns: Sequence[Turn], text: str, finish_reason: str
) -> tuple[FailureKind, str] | None:
    if not text:
        return FailureKind.EMPTY, "said nothing"
    if finish_reason == "length" and not speaker.cuts:
        return FailureKind.TRUNCATED, f"stopped at {voice.max_tokens} tokens"
    why = "repeats an earlier message" if repeats(text, turns) else speaker.fault(text, turns)
    return (FailureKind.MALFORMED, why) if why else None


def request(voice: Voice, role: Role, ask: Ask, step: str) -> ChatRequest:
    """The call of this step: its item and its seed are those of its place alone."""
    item = f"{voice.place}/{step}"
    return ChatRequest(
        role=role,
        messages=ask.messages,
        item=item,
        max_tokens=voice.max_tokens,
        temperature=ask.temperature,
        seed=derived_rng(voice.seed, item).getrandbits(31),
        schema=ask.schema,
    )
