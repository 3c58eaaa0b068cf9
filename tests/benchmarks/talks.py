"""What the benchmark of dialogues makes: dialogues of several kinds, and plain calls of the same sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from asking import QUESTION, SYSTEM

from actors.logic.dialogue import Context, Dialogue, DialogueRule, Scene
from actors.logic.quality import QualityRule, Quest
from actors.logic.retrieval import OwnRetriever
from actors.logic.tools import ToolKit
from actors.tool_functions import ToolFunctions
from cluster.chat import Bring, ChatAnswer, ChatModel, ChatRequest, Role

EXCHANGES = 3
PERSONA = "A harbour master of a small island who keeps the timetable of two ferries and teaches sailing at weekends."
DOCUMENT = "\n\n".join(f"Part {number} of the harbour's book. {QUESTION}" for number in range(4))
PASSAGES = [{"id": f"harbour#{number}", "text": QUESTION} for number in range(4)]
_DAY = {"type": "object", "properties": {"day": {"type": "string"}, "cars": {"type": "integer"}}, "required": ["day"]}
_TOOLS = [
    {"type": "function", "function": {"name": "find_ferry", "description": "Ferries of a day.", "parameters": _DAY}},
    {"type": "function", "function": {"name": "clock", "description": "The time."}},
]
_FUNCTIONS = """
def find_ferry(day, cars=0): return {"day": day, "cars": cars, "at": ["9:00", "12:30"]}
def clock(): return "8:15"
"""
_UNJUDGED = QualityRule()
_RULE = DialogueRule("You are a helpful assistant.", EXCHANGES, Context.DOCUMENT, seed=1, max_tokens=200)


def find(query: str, top_k: int) -> list[dict[str, str]]:
    """A retriever that costs nothing."""
    return PASSAGES[:top_k]


@dataclass(frozen=True, slots=True)
class Talks:
    """Programs of whole dialogues, as the writers of conversations send them."""

    rule: DialogueRule = _RULE
    quality: QualityRule = _UNJUDGED

    def __call__(self, number: int) -> Quest:
        persona = f"{PERSONA} ({number})"
        scene = Scene(f"{number:024x}", "harbour", f"p{number}", persona, 1, DOCUMENT, ("harbour",))
        return Quest(Dialogue(scene, self.rule), self.quality)


_KIT = ToolKit(json.dumps(_TOOLS), ToolFunctions("ferries.py", "/", _FUNCTIONS, 10))
KINDS = {
    "persona": Talks(),
    "and a judge": Talks(quality=QualityRule(judged=True)),
    "and tools": Talks(replace(_RULE, name="tools", tools=_KIT)),
    "and look-ups": Talks(replace(_RULE, context=Context.RAG, retriever=OwnRetriever("talks:find", 2, 10))),
}


@dataclass(frozen=True, slots=True)
class Plain:
    """As many calls as a dialogue made, one after the other, each with as many bytes to send."""

    number: int
    sizes: tuple[int, ...]

    @property
    def item_id(self) -> str:
        return f"plain/{self.number}"

    async def run(self, chat: ChatModel) -> int:
        answers = [await chat.answer(self._request(at, size)) for at, size in enumerate(self.sizes)]
        return sum(bool(answer.text) for answer in answers)

    def _request(self, at: int, size: int) -> ChatRequest:
        content = (QUESTION * (size // len(QUESTION) + 1))[: max(0, size - len(SYSTEM))]
        said = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{content} ({self.number}/{at})"}]
        return ChatRequest(Role.RESPONDENT, said, f"{self.item_id}/{at}", 200, 0.9, self.number)


@dataclass(frozen=True, slots=True)
class Plains:
    """Programs of plain calls with the sizes of some dialogues in turn."""

    sizes: Sequence[tuple[int, ...]]

    def __call__(self, number: int) -> Plain:
        return Plain(number, self.sizes[number % len(self.sizes)])


class Weighing:
    """A model whose requests are weighed: the bytes of messages, schema and tools."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat, self.sizes = chat, list[int]()

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        sent = [request.messages, request.schema or "", request.tools or ""]
        self.sizes.append(len(json.dumps(sent, ensure_ascii=False).encode()))
        return await self._chat.answer(request)

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        return await self._chat.recall(item, asked, bring)

    async def catch_up(self) -> None:
        await self._chat.catch_up()

    async def stop(self, reason: str) -> None:
        await self._chat.stop(reason)

    async def close(self) -> None:
        await self._chat.close()
