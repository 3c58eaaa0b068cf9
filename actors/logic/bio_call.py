"""The program of one person: its traits, sampled before or read from a persona, and the text that shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import BaseModel, Field

from actors.logic.bio_question import Question, more, whole
from actors.logic.bio_rule import BioRule
from actors.logic.bio_text import BioKind, Traits, fault, may_go_on, said
from actors.logic.persona import normalise_space
from actors.logic.sampling import derived_rng
from actors.prompts import load, render
from cluster.chat import ChatModel, ChatRequest, Role, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.structured import Misread, ask_for, correction

TRIES = 3
_TRAITS_TOKENS = 500


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
        prompt = load("persona_traits")
        asked = Question(render(prompt, persona=self.persona), None, _TRAITS_TOKENS, prompt.sha)
        found = await ask_for(chat, self._request("traits", asked), _Traits)
        traits = {normalise_space(one.name): normalise_space(one.value) for one in found.value.traits}
        return traits, found.usage

    async def _write(self, chat: ChatModel, traits: Traits, usage: Usage) -> Biography:
        start = whole(self.rule, traits, self.persona)
        if rule := self.rule.opening():
            opening = await replace(self, rule=rule, traits=traits).run(chat)
            start = more(self.rule, traits, self.persona, opening.text, opening.prompt_sha)
            usage += opening.usage
        looked_for, question, is_correction = None if self.rule.language else traits, start, False
        request = self._request("1", question)
        for attempt in range(1, TRIES + 1):
            answer, text, why = None, "", ""
            try:
                answer = await chat.answer(request)
                usage += answer.usage
                text = question.text(answer)
                why = fault(text, self.rule.kind, looked_for, self.rule.domains, self._says_all(attempt))
            except Misread as misread:
                why = str(misread)
            except CallFailed as failure:
                if failure.kind not in (FailureKind.EMPTY, FailureKind.TRUNCATED):
                    raise
                why = failure.message
            if answer and not why:
                share = said(text, looked_for) if looked_for else None
                return Biography(text, traits, answer.model, question.prompt_sha, usage, share)
            goes_on = may_go_on(text, self.rule.kind, looked_for, self.rule.domains)
            corrects = answer is not None and answer.finish_reason != "length" and not self.rule.small_model
            is_correction = corrects and not goes_on and not is_correction
            if is_correction and answer:
                request = correction(request, answer.text, why)
                continue
            question = more(self.rule, traits, self.persona, text, question.prompt_sha) if goes_on else start
            request = self._request(str(attempt + 1), question)
        raise CallFailed(FailureKind.MALFORMED, f"no {self.rule.kind} that will do, at last: {why}", TRIES)

    def _says_all(self, attempt: int) -> bool:
        """Whether every trait is asked for: where a try costs a sentence, and a small model may well leave one out; but
        not of the last."""
        return self.rule.small_model and self.rule.kind is BioKind.BIO and attempt < TRIES

    def _request(self, step: str, asked: Question) -> ChatRequest:
        place = f"{self.bio_id}/{self.round}/{step}{'-more' if asked.beginning else ''}"
        return ChatRequest(
            role=Role.PERSONA,
            messages=asked.messages,
            item=place,
            max_tokens=asked.max_tokens,
            temperature=0.5 if self.rule.small_model and not asked.beginning else 0.9,
            seed=derived_rng(self.rule.seed, place).getrandbits(31),
            schema=asked.schema,
            model=self.model,
        )
