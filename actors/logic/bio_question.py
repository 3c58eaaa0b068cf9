"""What a model is asked about one person: the whole text, or how the beginning of a backstory goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import BaseModel

from actors.logic.bio_rule import BioRule
from actors.logic.bio_text import WORDS, BioKind, Traits
from actors.logic.persona import normalise_space
from actors.logic.prose import continued, cut, words
from actors.prompts import Prompt, load, render
from cluster.chat import ChatAnswer
from cluster.structured import Misread, read

_MAX_TOKENS = {BioKind.BIO: 300, BioKind.BACKSTORY: 1_000}
_AIM = 215  # words of a backstory that is written in parts
_LEAST_MORE = 60

_SENTENCE = r"[A-Z][^.!?\n\"]+\."  # what a small model is held to
_ONE_SENTENCE = rf"^{_SENTENCE}$"
_STORY = rf"^({_SENTENCE} ){{8,11}}{_SENTENCE}$"


class _Bio(BaseModel):
    bio: str


class _Backstory(BaseModel):
    backstory: str


class _More(BaseModel):
    more: str


@dataclass(frozen=True, slots=True)
class Question:
    """Messages and the shape of the answer. `prompt_sha` covers the templates of the answer, and of its `beginning`
    where it is to go on from one."""

    messages: list[dict[str, str]]
    schema: Mapping[str, object] | None
    max_tokens: int
    prompt_sha: str
    kind: BioKind = BioKind.BIO
    beginning: str = ""

    def text(self, answer: ChatAnswer) -> str:
        """The text as it is with this answer; a backstory in whole sentences of no more words than it may have.
        `Misread` where the answer has none."""
        if answer.finish_reason == "length":
            raise Misread("it was cut off")
        if self.kind is BioKind.BIO:
            return _trimmed(read(answer.text, _Bio).bio)
        if self.beginning:
            text = continued(self.beginning, _trimmed(read(answer.text, _More).more))
        else:
            text = _trimmed(read(answer.text, _Backstory).backstory)
        return cut(text, WORDS[self.kind][1])


def whole(rule: BioRule, traits: Traits, persona: str) -> Question:
    """Asks for the text by the rule's own template."""
    prompt, pattern = rule.template(), _ONE_SENTENCE if rule.small_model and rule.kind is BioKind.BIO else ""
    return _question(rule, prompt, _values(rule, traits, persona), _schema(str(rule.kind), pattern), prompt.sha)


def more(rule: BioRule, traits: Traits, persona: str, beginning: str, sha: str) -> Question:
    """Asks how a backstory goes on whose beginning was made by templates of this `sha`."""
    prompt, missing = load("backstory_more"), max(_LEAST_MORE, _AIM - words(beginning))
    values = _values(rule, traits, persona) | {"beginning": beginning, "words": str(missing)}
    schema = _schema("more", _STORY if rule.small_model else "")
    both = hashlib.sha256(f"{sha}\x1f{prompt.sha}".encode()).hexdigest()[:12]
    return replace(_question(rule, prompt, values, schema, both), beginning=beginning)


def _question(
    rule: BioRule, prompt: Prompt, values: Mapping[str, str], schema: Mapping[str, object], sha: str
) -> Question:
    messages = render(prompt, **{name: values[name] for name in prompt.fields})
    return Question(messages, schema, _MAX_TOKENS[rule.kind], sha, rule.kind)


def trait_lines(traits: Traits) -> str:
    """A line for each trait, as a prompt has them."""
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in traits.items())


def _values(rule: BioRule, traits: Traits, persona: str) -> dict[str, str]:
    return {
        "grounds": _grounds(rule.description, persona),
        "description": rule.description,
        "persona": persona,
        "traits": trait_lines(traits),
        "language": f"Write in {rule.language}." if rule.language else "Write in the language of the traits.",
    }


def _grounds(description: str, persona: str) -> str:
    parts = []
    if description:
        parts += render(load("grounds_simulation"), description=description)
    if persona:
        parts += render(load("grounds_persona"), persona=persona)
    return "\n\n".join(part["content"] for part in parts)


def _schema(name: str, pattern: str) -> dict[str, object]:
    text = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return {"type": "object", "properties": {name: text}, "required": [name], "additionalProperties": False}


def _trimmed(text: str) -> str:
    return normalise_space(text).strip('"“” ')
