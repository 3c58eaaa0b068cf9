"""The program of one person: its traits, sampled before or read from a persona, and the text that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from actors.logic.bio_rule import BioRule
from actors.logic.bio_text import BioKind, Traits, fault, said
from actors.logic.persona import normalise_space
from actors.logic.sampling import derived_rng
from actors.prompts import Prompt, load, render
from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Role, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.structured import Misread, ask_for, correction, read

TRIES = 3
_MAX_TOKENS = {BioKind.BIO: 300, BioKind.BACKSTORY: 1_000}
_TRAITS_TOKENS = 500
_ONE_SENTENCE = r"^[A-Z][^.!?\n\"]+\.$"  # what a small model is held to


class _Bio(BaseModel):
    bio: str


class _Backstory(BaseModel):
    backstory: str


class _Trait(BaseModel):
    name: Annotated[str, Field(min_length=1, max_length=80)]
    value: Annotated[str, Field(min_length=1, max_length=200)]


class _Traits(BaseModel):
    traits: Annotated[list[_Trait], Field(min_length=1, max_length=20)]


@dataclass(frozen=True, slots=True)
class Biography:
    """A finished text with the traits that it is to show; `said` is the share of them that can be found in it, None
    where the language leaves nothing to look for."""

    text: str
    traits: Traits
    model: str
    prompt_sha: str
    usage: Usage
    said: float | None


@dataclass(frozen=True, slots=True)
class BioCall:
    """One person. Without `traits`, they are read from `persona`. `model` serves instead of the role's. A later `round`
    asks for the same person anew."""

    bio_id: str
    rule: BioRule
    model: str | None = None
    traits: Traits | None = None
    persona_id: str | None = None
    persona: str = ""
    round: int = 0

    @property
    def item_id(self) -> str:
        return self.bio_id

    async def run(self, chat: ChatModel) -> Biography:
        """Raises `CallFailed` when no try brought a text that will do."""
        traits, usage = self.traits, Usage()
        if traits is None:
            traits, usage = await self._read_traits(chat)
        return await self._write(chat, traits, usage)

    async def _read_traits(self, chat: ChatModel) -> tuple[Traits, Usage]:
        messages = render(load("persona_traits"), persona=self.persona)
        found = await ask_for(chat, self._request("traits", messages, _TRAITS_TOKENS), _Traits)
        traits = {normalise_space(one.name): normalise_space(one.value) for one in found.value.traits}
        return traits, found.usage

    async def _write(self, chat: ChatModel, traits: Traits, usage: Usage) -> Biography:
        prompt, looked_for = self.rule.template(), None if self.rule.language else traits
        request, is_correction, why = self._text_request(prompt, traits, 1), False, ""
        for attempt in range(1, TRIES + 1):
            answer: ChatAnswer | None = None
            try:
                answer = await chat.answer(request)
                usage += answer.usage
                text = self._text(answer)
                if not (why := fault(text, self.rule.kind, looked_for, self.rule.domains)):
                    share = said(text, looked_for) if looked_for else None
                    return Biography(text, traits, answer.model, prompt.sha, usage, share)
            except Misread as misread:
                why = str(misread)
            except CallFailed as failure:
                if failure.kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED):
                    raise
                why = failure.message
            corrects = answer is not None and answer.finish_reason != "length"
            is_correction = corrects and not is_correction and not self.rule.small_model
            if is_correction and answer:
                request = correction(request, answer.text, why)
            else:
                request = self._text_request(prompt, traits, attempt + 1)
        raise CallFailed(FailureKind.MALFORMED, f"no {self.rule.kind} that will do, at last: {why}", TRIES)

    def _text(self, answer: ChatAnswer) -> str:
        """Raises `Misread`."""
        if answer.finish_reason == "length":
            raise Misread("it was cut off")
        is_bio = self.rule.kind is BioKind.BIO
        text = read(answer.text, _Bio).bio if is_bio else read(answer.text, _Backstory).backstory
        return normalise_space(text).strip('"“” ')

    def _text_request(self, prompt: Prompt, traits: Traits, attempt: int) -> ChatRequest:
        kind = self.rule.kind
        values = {
            "grounds": self._grounds(),
            "description": self.rule.description,
            "persona": self.persona,
            "traits": trait_lines(traits),
            "language": f"Write in {self.rule.language}."
            if self.rule.language
            else "Write in the language of the traits.",
        }
        text: dict[str, object] = {"type": "string"}
        if self.rule.small_model and kind is BioKind.BIO:
            text["pattern"] = _ONE_SENTENCE
        schema = {"type": "object", "properties": {str(kind): text}, "required": [str(kind)]}
        return self._request(
            str(attempt),
            render(prompt, **{name: values[name] for name in prompt.fields}),
            _MAX_TOKENS[kind],
            schema | {"additionalProperties": False},
        )

    def _grounds(self) -> str:
        parts = []
        if self.rule.description:
            parts += render(load("grounds_simulation"), description=self.rule.description)
        if self.persona:
            parts += render(load("grounds_persona"), persona=self.persona)
        return "\n\n".join(part["content"] for part in parts)

    def _request(
        self,
        step: str,
        messages: list[dict[str, str]],
        max_tokens: int,
        schema: Mapping[str, object] | None = None,
    ) -> ChatRequest:
        place = f"{self.bio_id}/{self.round}/{step}"
        return ChatRequest(
            role=Role.PERSONA,
            messages=messages,
            item=place,
            max_tokens=max_tokens,
            temperature=0.5 if self.rule.small_model else 0.9,
            seed=derived_rng(self.rule.seed, place).getrandbits(31),
            schema=schema,
            model=self.model,
        )


def trait_lines(traits: Traits) -> str:
    """A line for each trait, as a prompt has them."""
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in traits.items())
