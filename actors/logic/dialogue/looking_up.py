"""A respondent that looks up passages for each message of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from actors.logic.dialogue.respondent import Answers, Reply
from actors.logic.dialogue.speaking import Voice
from actors.logic.dialogue.turns import Turn
from actors.logic.retrieval import Passage, Retriever
from actors.prompts import load, render


@dataclass(slots=True)
class LookingUp:
    """It keeps what it found for earlier messages, so that its last system message holds all that it had; who answers
    is made from that by `answering`."""

    prompt: str
    retriever: Retriever
    answering: Callable[[str], Answers]
    found: dict[str, Passage] = field(default_factory=dict)

    async def answer(self, voice: Voice, turns: Sequence[Turn], step: str) -> Reply:
        """As `Respondent.answer`; raises `CallFailed` where nothing can be looked up, and answers where nothing is
        found."""
        new = await self._find(voice, turns[-1].content, f"{step}/passages")
        self.found |= {one.passage_id: one for one in new}
        respondent = self.answering(with_passages(self.prompt, self.found.values()))
        reply = await respondent.answer(voice, turns, step)
        return replace(reply, context_ids=tuple(one.passage_id for one in new))

    async def _find(self, voice: Voice, query: str, step: str) -> list[Passage]:
        """What is found, and was found before where this dialogue is made again after a crash."""

        async def found() -> dict[str, object]:
            return {"passages": [[one.passage_id, one.text] for one in await self.retriever.find(query)]}

        kept: Any = await voice.chat.recall(f"{voice.place}/{step}", {"query": query}, found)
        return [Passage(*one) for one in kept["passages"]]


def with_passages(prompt: str, found: Iterable[Passage]) -> str:
    """The system message of an assistant that has these passages; the prompt alone where there are none."""
    told = "\n\n".join(f'<passage id="{one.passage_id}">\n{one.text}\n</passage>' for one in found)
    if not told:
        return prompt
    [message] = render(load("respondent_passages"), respondent_prompt=prompt, passages=told)
    return message["content"]
