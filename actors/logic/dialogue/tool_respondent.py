"""The assistant with tools at hand: it calls them, hears what they say, and answers.

A call that does not fit its tool is answered by an error, as a tool would tell it, and asked for again; of these
attempts nothing goes into the dialogue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from actors.logic.dialogue.calling import corrections, has_failed, why_no_more, with_ids
from actors.logic.dialogue.played_tools import Played, Player
from actors.logic.dialogue.respondent import REFUSES, Reply, Respondent
from actors.logic.dialogue.speaking import TRIES, Voice, ask_once, fault_in
from actors.logic.dialogue.turns import Turn, heard
from actors.logic.tools import ToolKit, why_invalid
from actors.logic.tools.kit import Results
from actors.logic.tools.naming import named_in
from cluster.chat import ChatAnswer, Message, ToolChoice, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.tool_calls import ToolCall


class Uncalled(CallFailed):
    """The assistant answered without a tool where one was needed; `usage` is what its tries cost."""

    def __init__(self, attempts: int, usage: Usage) -> None:
        super().__init__(FailureKind.MALFORMED, "the respondent called no tool", attempts)
        self.usage = usage


@dataclass(frozen=True, slots=True)
class _Move:
    """What the assistant does next: it calls tools, or, without calls, answers the user."""

    turn: Turn
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class _Read:
    """The turn that an answer is, what is wrong with it, what to tell about that, and whether it `ends` the calls."""

    turn: Turn
    fault: tuple[FailureKind, str] | None = None
    corrections: list[Message] = field(default_factory=list)
    ends: bool = False


@dataclass(frozen=True, slots=True)
class ToolRespondent:
    """`base` says how it speaks, `player` plays the tools where there are no functions."""

    base: Respondent
    kit: ToolKit
    player: Player

    async def answer(self, voice: Voice, turns: Sequence[Turn], step: str) -> Reply:
        """To the user's message, which is the last of `turns`: calls, their results, and a message.

        Raises `Uncalled` where the dialogue would be left without a call, and `CallFailed` when every try of a step has
        another fault.
        """
        made: list[Turn] = []
        spent, left = Usage(), self.kit.max_calls
        for number in count():
            place = f"{step}/{number}"
            move = await self._move(voice, [*turns, *made], place, left)
            spent += move.usage
            said = [*turns, *made, move.turn]
            made.append(move.turn)
            if not move.turn.tool_calls:
                break
            left -= len(move.turn.tool_calls)
            results = await self._results(voice, said, place)
            made += results.turns
            spent += results.usage
        return Reply(made, self.base.system, move.model, spent)

    async def _move(self, voice: Voice, turns: Sequence[Turn], place: str, left: int) -> _Move:
        """The next step; with no calls `left` it has to answer."""
        must = not any(turn.tool_calls for turn in turns)
        choice = ToolChoice.AUTO if left else ToolChoice.NONE
        ask, spent = self.base.ask(turns), Usage()
        fault, told = CallFailed(FailureKind.EMPTY, "no answer", TRIES), list[Message]()
        for attempt in range(1, TRIES + 1):
            asked = replace(ask, messages=[*ask.messages, *told], tools=self.kit.listing, tool_choice=choice)
            answer = await ask_once(voice, self.base.role, asked, f"{place}/{self.base.role}", attempt)
            if isinstance(answer, CallFailed):
                fault = answer
                continue
            spent += answer.usage
            read = self._read(voice, answer, turns, f"{place}/{attempt}", left)
            told = read.corrections
            is_uncalled = must and not read.turn.tool_calls
            if is_uncalled and (not read.fault or read.fault[0] is FailureKind.MALFORMED):
                fault, choice = Uncalled(attempt, spent), ToolChoice.REQUIRED
            elif read.fault:
                fault = CallFailed(read.fault[0], f"the respondent {read.fault[1]}", attempt)
                choice = ToolChoice.NONE if read.ends and not must else choice
            else:
                return _Move(read.turn, answer.model, spent)
        raise fault

    def _read(self, voice: Voice, answer: ChatAnswer, turns: Sequence[Turn], place: str, left: int) -> _Read:
        text = self.base.text(answer)
        if not any(map(str.isalnum, text)):  # an empty fence is what some models leave of a call
            text = ""
        if not answer.tool_calls:
            found = fault_in(voice, self.base, heard(turns), text, answer.finish_reason)
            if found == (FailureKind.MALFORMED, REFUSES) and has_failed(turns):
                found = None  # it says what it could not find out
            elif not found and (name := named_in(text, self.kit.tools)):
                found = FailureKind.MALFORMED, f"names the tool {name}"
            return _Read(Turn("assistant", text), found)
        calls = with_ids(answer.tool_calls, turns, f"{voice.place}/{place}")
        turn = Turn("assistant", "" if named_in(text, self.kit.tools) else text, calls)
        over = why_no_more(calls, turns, left)
        whys = [over or why_invalid(call, self.kit.tools) for call in calls]
        if not any(whys):
            return _Read(turn)
        if answer.finish_reason == "length":
            return _Read(turn, (FailureKind.TRUNCATED, f"stopped at {voice.max_tokens} tokens"))
        call, why = next((call, why) for call, why in zip(calls, whys, strict=True) if why)
        said = f"made a call that is not valid, of {call.name[:80] or 'no tool'}: {why}"
        return _Read(turn, (FailureKind.MALFORMED, said), list(corrections(turn, whys)), bool(over))

    async def _results(self, voice: Voice, turns: Sequence[Turn], place: str) -> _Results:
        """What the tools say to the calls of the last turn: functions at the same time, a player one after the other,
        for what it said before still holds."""
        calls = turns[-1].tool_calls
        if functions := self.kit.functions:
            contents = await asyncio.gather(
                *(_told(voice, functions, call, f"{place}/tool/{number}") for number, call in enumerate(calls))
            )
            told = [Turn("tool", said, tool_call_id=call.id) for call, said in zip(calls, contents, strict=True)]
            return _Results(told, Usage())
        results = _Results([], Usage())
        for number, call in enumerate(calls):
            tool = next(one for one in self.kit.tools if one.name == call.name)
            played = await self.player.play(voice, tool, call, [*turns, *results.turns], f"{place}/tool/{number}")
            results = results.and_then(call, played)
        return results


async def _told(voice: Voice, functions: Results, call: ToolCall, step: str) -> str:
    """What the function says, and said before where this dialogue is made again after a crash: all that the assistant
    was paid for since rests on it."""

    async def result() -> dict[str, object]:
        return {"content": await functions.result(call)}

    asked = {"function": call.name, "arguments": call.arguments}
    return str((await voice.chat.recall(f"{voice.place}/{step}", asked, result))["content"])


@dataclass(frozen=True, slots=True)
class _Results:
    """The messages of tools, and what they cost."""

    turns: list[Turn]
    usage: Usage

    def and_then(self, call: ToolCall, played: Played) -> _Results:
        told = Turn("tool", played.content, tool_call_id=call.id)
        return _Results([*self.turns, told], self.usage + played.usage)
