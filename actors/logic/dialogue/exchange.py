"""One exchange: the user's message and what the assistant does about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from actors.logic.dialogue.respondent import Answers, Reply
from actors.logic.dialogue.speaking import Said, Voice
from actors.logic.dialogue.tool_respondent import Uncalled
from actors.logic.dialogue.turns import Turn

Asks = Callable[[str], Awaitable[Said]]
"""Brings the user's message, under the name of a step."""


async def exchange(
    voice: Voice, ask: Asks, answers: Answers, turns: Sequence[Turn], step: str, asked: Said | None = None
) -> tuple[Said, Reply]:
    """What follows `turns`, the user's message where that has been `asked` already. One that brought no call of a tool
    where there had to be one is asked for once more."""
    asked = asked or await ask(step)
    try:
        return asked, await answers.answer(voice, [*turns, Turn("user", asked.text)], step)
    except Uncalled as failure:
        lost = asked.usage + failure.usage
    step = f"{step}/again"
    asked = await ask(step)
    reply = await answers.answer(voice, [*turns, Turn("user", asked.text)], step)
    return asked, replace(reply, usage=lost + reply.usage)
