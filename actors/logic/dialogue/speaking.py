"""One message of a dialogue: asked for until it is one, three tries in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from actors.logic.dialogue.faults import GIVES_AWAY, gives_away, repeats
from actors.logic.dialogue.turns import Turn
from actors.logic.sampling import derived_rng
from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Message, Role, ToolChoice, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.tool_calls import Tools

TRIES = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """What a message is asked for with."""

    messages: Sequence[Message]
    temperature: float
    schema: Mapping[str, object] | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice = ToolChoice.AUTO


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
    """Where the messages of a dialogue are asked for: `place` names the dialogue and the attempt at it. `notes` are
    what each role is told beside what it is asked, and stand in no row."""

    chat: ChatModel
    place: str
    seed: int
    max_tokens: int
    notes: Mapping[Role, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """A message, who wrote it, and what all tries cost. `faults` are those of the tries before it."""

    text: str
    model: str
    usage: Usage
    faults: tuple[str, ...] = ()

    @property
    def gave_away(self) -> bool:
        """Whether it introduces its writer, or did so at a try before."""
        return GIVES_AWAY in self.faults or gives_away(self.text)


async def say(voice: Voice, speaker: Speaker, turns: Sequence[Turn], step: str) -> Said:
    """The next message. Raises `CallFailed` when every try is empty, cut off, or has another fault."""
    ask, spent, fault = speaker.ask(turns), Usage(), CallFailed(FailureKind.EMPTY, "no answer", TRIES)
    faults: list[str] = []
    for attempt in range(1, TRIES + 1):
        answer = await ask_once(voice, speaker.role, ask, f"{step}/{speaker.role}", attempt)
        if isinstance(answer, CallFailed):
            fault = answer
            continue
        spent += answer.usage
        text = speaker.text(answer)
        if not (found := fault_in(voice, speaker, turns, text, answer.finish_reason)):
            return Said(text, answer.model, spent, tuple(faults))
        kind, why = found
        faults.append(why)
        fault = CallFailed(kind, f"the {speaker.role} {why}", attempt)
    raise fault


async def ask_once(voice: Voice, role: Role, ask: Ask, step: str, attempt: int) -> ChatAnswer | CallFailed:
    """The answer of this attempt, or what another attempt may mend: none, or one without a text that was cut off."""
    try:
        return await voice.chat.answer(request(voice, role, ask, f"{step}/{attempt}"))
    except CallFailed as failure:
        if failure.kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED):
            raise
        return CallFailed(failure.kind, failure.message, attempt)


def fault_in(
    voice: Voice, speaker: Speaker, turns: Sequence[Turn], text: str, finish_reason: str
) -> tuple[FailureKind, str] | None:
    """Why a text is no message after `turns`, in the words of "the user …"; None where it is one."""
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
        messages=_with_note(ask.messages, voice.notes.get(role, "")),
        item=item,
        max_tokens=voice.max_tokens,
        temperature=ask.temperature,
        seed=derived_rng(voice.seed, item).getrandbits(31),
        schema=ask.schema,
        tools=ask.tools,
        tool_choice=ask.tool_choice,
    )


def _with_note(messages: Sequence[Message], note: str) -> Sequence[Message]:
    """The note at the end of the system message, or of the last one where there is none."""
    if not note:
        return messages
    at = 0 if messages[0]["role"] == "system" else -1
    noted = list(messages)
    noted[at] = {**messages[at], "content": f"{messages[at]['content']}\n\n{note}"}
    return noted
