"""The program of one persona call: ask for exactly `per_call` people, read them, ask again if they are too few.

An answer that holds nobody is corrected in its own conversation; too few people are asked for afresh.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from actors.logic.persona import Found, Granularity, normal_form, read_personas, why_no_person
from actors.logic.sampling import derived_rng
from actors.prompts import Prompt, load, own, render
from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Role, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.structured import correction

TRIES = 3
TEXT_RELATIONS = ("read", "write", "like", "dislike")
RELATIONSHIPS = ("relative", "colleague", "customer", "neighbour", "carer", "pupil", "rival", "friend")

_FIELDS = ("count", "detail", "already", "language", "relation")
_MOST_KNOWN = 12  # people of the pool that a request names
_KNOWN_CHARACTERS = 200  # of each
ONE_PERSON = r"""^An? [^".;:()\[\]]+\.$"""  # what a small model is held to: one plain sentence
_UNREAD = "it describes no person; each persona is a whole sentence about one, and no name"
TOKENS_PER_PERSON = {Granularity.COARSE: 50, Granularity.MEDIUM: 100, Granularity.FINE: 180}


@dataclass(frozen=True, slots=True)
class PersonaAnswer:
    """The people of one call, at most `per_call`. `shortfall` says why they are fewer, else it is empty; `unfit` are
    answers too short or long to be people."""

    found: list[Found]
    model: str
    prompt_sha: str
    usage: Usage
    tries: int
    shortfall: str = ""
    unfit: list[Found] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wording:
    """What a run has persona calls say otherwise: a language (empty: that of the text), and templates of the user's
    own for documents and for parents (empty: ours)."""

    language: str = ""
    text: str = ""
    persona: str = ""

    def template(self, is_child: bool, one_per_request: bool) -> Prompt:
        """`UserError` where the user's own cannot be used."""
        about = "persona" if is_child else "text"
        if told := self.persona if is_child else self.text:
            return own(f"personas.prompts.{about}", told, [about], _FIELDS)
        name = "persona_to_persona" if is_child else "text_to_persona"
        return load(f"{name}_one" if one_per_request else name)


PLAIN = Wording()


@dataclass(frozen=True, slots=True)
class PersonaCall:
    """Text-to-persona where `parent_id` is None, persona-to-persona else (Ge et al. 2024, arXiv:2406.20094).

    `text` is the document, or the parent's description. With `one_per_request`, a call is `per_call` requests for one
    person each, which is what models below about a billion parameters can do. `known` are people of the pool who are
    named so that they are not named again; a later `round` asks for more of them.
    """

    document_id: str
    parent_id: str | None
    depth: int
    text: str
    per_call: int
    granularity: Granularity
    seed: int
    one_per_request: bool = False
    wording: Wording = PLAIN
    known: tuple[str, ...] = ()
    round: int = 0

    @property
    def item_id(self) -> str:
        return f"{self.document_id}/{self.parent_id or 'document'}" + (f"/{self.round}" if self.round else "")

    @property
    def ids(self) -> dict[str, str]:
        """For the log."""
        return {"document": self.document_id} | ({"persona": self.parent_id} if self.parent_id else {})

    @property
    def instructions(self) -> str:
        """What a request says beside its text and the people who are known: all that stands in the templates."""
        return "\n".join((self._prompt().text, load(f"detail_{self.granularity}").text))

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
        unfit: list[Found] = []
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
                read = self._read(answer, slot)
                found = [one for one in read if not why_no_person(one.text)]
                unfit += [one for one in read if why_no_person(one.text)]
                for one in found:
                    people.setdefault(normal_form(one.text), one)
                if len(people) >= count:
                    kept = list(people.values())[:count]
                    return PersonaAnswer(kept, model, prompt.sha, usage, attempt, unfit=unfit)
                fault = f"the model answered {len(people)} of {count} personas, at last: {answer.text[:120]!r}"
                unread = answer if self._may_correct(answer, found) and not is_correction else None
            is_correction = unread is not None
            if unread:
                request = correction(request, unread.text, _UNREAD)
            else:
                request = self._request(prompt, count, slot, attempt + 1, people)
        if not people:
            raise CallFailed(FailureKind.MALFORMED, fault, TRIES)
        return PersonaAnswer(list(people.values()), model, prompt.sha, usage, TRIES, fault, unfit)

    def _may_correct(self, answer: ChatAnswer, found: list[Found]) -> bool:
        """Whether the model may do better when told: not where it was cut off, nor where it is too small for that."""
        return not found and answer.finish_reason != "length" and not self.one_per_request

    def _request(
        self, prompt: Prompt, count: int, slot: int | None, attempt: int, people: Mapping[str, Found]
    ) -> ChatRequest:
        """A request that knows nothing of earlier ones but the people whom they brought."""
        place = f"{self.item_id}/{'all' if slot is None else slot}/{attempt}"
        language = "the language of the description above" if self.parent_id else "the language of the text"
        values = {
            "persona" if self.parent_id else "text": self.text,
            "count": str(count),
            "detail": load(f"detail_{self.granularity}").text,
            "already": _already([*self.known, *(one.text for one in people.values())]),
            "language": self.wording.language or language,
            "relation": self._relation(slot or 0),
        }
        return ChatRequest(
            role=Role.PERSONA,
            messages=render(prompt, **{name: value for name, value in values.items() if name in prompt.fields}),
            item=place,
            max_tokens=TOKENS_PER_PERSON[self.granularity] * count + 60,
            temperature=0.9 if slot is None else 0.5,  # a small model loses itself above
            seed=derived_rng(self.seed, place).getrandbits(31),
            schema=self._schema(count, slot),
        )

    def _prompt(self) -> Prompt:
        return self.wording.template(self.parent_id is not None, self.one_per_request)

    def _relation(self, slot: int) -> str:
        kinds = RELATIONSHIPS if self.parent_id else TEXT_RELATIONS
        return kinds[(slot + derived_rng(self.seed, self.item_id, "relation").randrange(len(kinds))) % len(kinds)]

    def _schema(self, count: int, slot: int | None) -> Mapping[str, object]:
        text: dict[str, object] = {"type": "string"}
        if slot is not None:
            return json_object({"persona": text | {"pattern": ONE_PERSON}})
        relation: dict[str, object] = text if self.parent_id else {"type": "string", "enum": list(TEXT_RELATIONS)}
        people = {"type": "array", "items": json_object({"relation": relation, "persona": text})}
        return json_object({"personas": people | {"minItems": count, "maxItems": count}})

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
        unfit = [one for answer in answers for one in answer.unfit]
        return PersonaAnswer(kept, answers[0].model, answers[0].prompt_sha, usage, tries, short, unfit)


def _already(people: Sequence[str]) -> str:
    """The last of those who are named already."""
    if not people:
        return ""
    named = "\n".join(f"- {text[:_KNOWN_CHARACTERS]}" for text in people[-_MOST_KNOWN:])
    [message] = render(load("persona_already"), people=named)
    return f"\n\n{message['content']}"


def json_object(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
