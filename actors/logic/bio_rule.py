"""What all people of a run have in common, their ids, and the prompt that they are written by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from actors.logic.bio_text import BioKind, Domains
from actors.prompts import Prompt, load, parse
from cluster.errors import UserError

FIELDS = frozenset({"grounds", "description", "persona", "traits", "language"})
_MOST_CHARACTERS = 20_000  # of a prompt of the user's own


@dataclass(frozen=True, slots=True)
class BioRule:
    """What all people of a run have in common. `prompt` is the text of the user's own template, empty for ours;
    `domains` are the words that no text may have in the place of a drawn one."""

    kind: BioKind
    description: str
    language: str
    seed: int
    small_model: bool = False
    prompt: str = ""
    domains: Domains = field(default_factory=dict)

    def template(self) -> Prompt:
        """`UserError` where the user's own cannot be used."""
        if self.prompt:
            return own_template(self.prompt)
        return load("bio_small" if self.small_model and self.kind is BioKind.BIO else self.kind)


def bio_id(seed: int, kind: BioKind, source: str, ordinal: int) -> str:
    """24 hex digits: person number `ordinal` of a source (a description, a persona), in every run of this seed."""
    return hashlib.sha256(f"{seed}\x1f{kind}\x1f{source}\x1f{ordinal}".encode()).hexdigest()[:24]


def own_template(text: str) -> Prompt:
    """The user's prompt; `UserError` naming what it lacks or has too much of."""
    if len(text) > _MOST_CHARACTERS:
        raise UserError(f"prompt bios.prompt has {len(text):,} characters; {_MOST_CHARACTERS:,} are the most")
    prompt = parse("bios.prompt", text)
    known = ", ".join(f"{{{name}}}" for name in sorted(FIELDS))
    if unknown := sorted(prompt.fields - FIELDS):
        named = ", ".join(f"{{{name}}}" for name in unknown)
        raise UserError(f"prompt bios.prompt has {named}, but the fields are {known}; double braces that are literal")
    if "traits" not in prompt.fields:
        raise UserError("prompt bios.prompt lacks {traits}, so nobody's traits would be in it")
    return prompt
