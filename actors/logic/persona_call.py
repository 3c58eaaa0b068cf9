"""The program of one persona call: ask for exactly `per_call` people, read them, ask again if they are too few.

An answer that holds nobody is corrected in its own conversation; too few people are asked for afresh.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from actors.logic.persona import Found, Granularity, normal_form, read_personas
from actors.logic.sampling import derived_rng
from actors.prompts import Prompt, load, render
from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Role, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.structured import correction

TRIES = 3
TEXT_RELATIONS = ("read", "write", "like", "dislike")
RELATIONSHIPS = ("relative", "colleague", "customer", "neighbour", "carer", "pupil", "rival", "friend")

_DETAIL = {
    Granularity.COARSE: "Name one attribute, such as the work or the stage of life.",
    Granularity.MEDIUM: "Give two to four attributes, such as work, place, age, means, wish or worry.",
    Granularity.FINE: "Give five or more attributes: age, work, place, schooling, means, wish, worry, way of speaking.",
}
_ONE_PERSON = r"""^An? [^".;:()\[\]]+\.$"""  # what a small model is held to: one plain sentence
_UNREAD = "no person can be read from it"
_TOKENS_PER_PERSON = {Granularity.COARSE: 50, Granularity.MEDIUM: 100, Granularity.FINE: 180}


@dataclass(frozen=True, slots=True)
class PersonaAnswer:
    """The people of one call, at most `per_call`. `shortfall` says why they are fewer, else it is empty."""

    found: list[Found]
    model: str
    prompt_sha: str
    usage: Usage
    tries: int
    shortfall: str = ""


@dataclass(frozen=True, slots=True)
class PersonaCall:
    """Text-to-persona where `parent_id` is None, persona-to-persona else (Ge et al. 2024, arXiv:2406.20094).

    `text` is the document, or the parent's description. With `one_per_request`, a call is `per_call` requests for one
    person each, which is what models below about a billion parameters can do.
    """

    document_id: str
    parent_id: str | None
    depth: int
    text: str
    per_call: int
    granularity: Granularity
    seed: int
    one_per_request: bool = False

    @property
    def item_id(self) -> str:
        return f"{self.document_id}/{self.parent_id or 'document'}"

    def first_request(self) -> ChatRequest:
        """What is asked first; for measuring what a call costs."""
        slot = 0 if self.one_per_request else None
        return self._request(self._prompt(), 1 if self.one_per_request else self.per_call, slot, 1, {})

    async def run(self, chat: ChatModel) -> PersonaAnswer:
        """Raises `CallFailed` when no try brought a single person."""
        if not self.one_per_request:
            return await self._ask(chat, self._prompt(), self.per_call, slot=None)
        parts = await asyncio.gather(
            *(self._ask(chat, self._prompt(), 1, slot) for slot in range(self.per_call)), return_exceptions=True
        )
        return self._together(parts)

    async def _ask(self, chat: ChatModel, prompt: Prompt, count: int, slot: int | None) -> PersonaAnswer:
        people: dict[str, Found] = {}
        usage, model, fault = Usage(), "", ""
        request, is_correction = self._request(prompt, count, slot, 1, people), False
        for attempt in range(1, TRIES + 1):
            unread = None
            try:
                answer = await chat.answer(request)
            except CallFailed as failure:
                if failure.kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED):
                    raise
                fault = failure.message
            else:
                usage, model = usage + answer.usage, answer.model
                found = self._read(answer, slot)
                for one in found:
                    people.setdefault(normal_form(one.text), one)
                if len(people) >= count:
                    return PersonaAnswer(list(people.values())[:count], model, prompt.sha, usage, attempt)
                fault = f"the model answered {len(people)} of {count} personas, at last: {answer.text[:120]!r}"
                unread = answer if self._may_correct(answer, found) and not is_correction else None
            is_correction = unread is not None
            if unread:
                request = correction(request, unread.text, _UNREAD)
            else:
                request = self._request(prompt, count, slot, attempt + 1, people)
        if not people:
            raise CallFailed(FailureKind.MALFORMED, fault, TRIES)
        return PersonaAnswer(list(people.values()), model, prompt.sha, usage, TRIES, fault)

    def _may_correct(self, answer: ChatAnswer, found: list[Found]) -> bool:
        """Whether the model may do better when told: not where it was cut off, nor where it is too small for that."""
        return not found and answer.finish_reason != "length" and not self.one_per_request

    def _request(
        self, prompt: Prompt, count: int, slot: int | None, attempt: int, people: Mapping[str, Found]
    ) -> ChatRequest:
        """A request that knows nothing of earlier ones but the people whom they brought."""
        place = f"{self.item_id}/{'all' if slot is None else slot}/{attempt}"
        values = {"persona" if self.parent_id else "text": self.text}
        if slot is None:
            values |= {"count": str(count), "detail": _DETAIL[self.granularity], "already": _already(people)}
        else:
            values |= {"relation": self._relation(slot)}
        return ChatRequest(
            role=Role.PERSONA,
            messages=render(prompt, **values),
            item=place,
            max_tokens=_TOKENS_PER_PERSON[self.granularity] * count + 60,
            temperature=0.9 if slot is None else 0.5,  # a small model loses itself above
            seed=derived_rng(self.seed, place).getrandbits(31),
            schema=self._schema(count, slot),
        )

    def _prompt(self) -> Prompt:
        name = "persona_to_persona" if self.parent_id else "text_to_persona"
        return load(f"{name}_one" if self.one_per_request else name)

    def _relation(self, slot: int) -> str:
        kinds = RELATIONSHIPS if self.parent_id else TEXT_RELATIONS
        return kinds[(slot + derived_rng(self.seed, self.item_id, "relation").randrange(len(kinds))) % len(kinds)]

    def _schema(self, count: int, slot: int | None) -> Mapping[str, object]:
        text: dict[str, object] = {"type": "string"}
        if slot is not None:
            return _object({"persona": text | {"pattern": _ONE_PERSON}})
        relation: dict[str, object] = text if self.parent_id else {"type": "string", "enum": list(TEXT_RELATIONS)}
        people = {"type": "array", "items": _object({"relation": relation, "persona": text})}
        return _object({"personas": people | {"minItems": count, "maxItems": count}})

    def _read(self, answer: ChatAnswer, slot: int | None) -> list[Found]:
        found = read_personas(answer.text)
        if answer.finish_reason == "length":
            found = found[:-1]  # half a sentence
        return found if slot is None else [Found(one.text, self._relation(slot)) for one in found[:1]]

    def _together(self, parts: list[PersonaAnswer | BaseException]) -> PersonaAnswer:
        answers = [part for part in parts if isinstance(part, PersonaAnswer)]
        faults = [part for part in parts if isinstance(part, BaseException)]
        if serious := [fault for fault in faults if not isinstance(fault, CallFailed)]:
            raise serious[0]
        if not answers:
            raise faults[0]
        people: dict[str, Found] = {}
        for found in (one for answer in answers for one in answer.found):
            people.setdefault(normal_form(found.text), found)
        kept = list(people.values())
        why = str(faults[0]) if faults else "repeats"
        short = "" if len(kept) >= self.per_call else f"{len(kept)} of {self.per_call} personas; {why}"
        usage = sum((answer.usage for answer in answers), Usage())
        tries = max(answer.tries for answer in answers)
        return PersonaAnswer(kept, answers[0].model, answers[0].prompt_sha, usage, tries, short)


def _already(people: Mapping[str, Found]) -> str:
    if not people:
        return ""
    named = "\n".join(f"- {one.text}" for one in people.values())
    [message] = render(load("persona_already"), people=named)
    return f"\n\n{message['content']}"


def _object(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
