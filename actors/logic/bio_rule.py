"""What all people of a run have in common, their ids, and the prompt that they are written by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from actors.logic.bio_text import BioKind, Domains
from actors.prompts import Prompt, load, own

FIELDS = frozenset({"grounds", "description", "persona", "traits", "language"})


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

    def opening(self) -> BioRule | None:
        """The rule of the bio that a backstory begins with, where the model is too small to say every trait in passing;
        None where the text is asked for as a whole."""
        in_parts = self.small_model and self.kind is BioKind.BACKSTORY and not self.prompt
        return replace(self, kind=BioKind.BIO) if in_parts else None


def bio_id(seed: int, kind: BioKind, source: str, ordinal: int) -> str:
    """24 hex digits: person number `ordinal` of a source (a description, a persona), in every run of this seed."""
    return hashlib.sha256(f"{seed}\x1f{kind}\x1f{source}\x1f{ordinal}".encode()).hexdigest()[:24]


def own_template(text: str) -> Prompt:
    """The user's prompt; `UserError` naming what it lacks or has too much of."""
    return own("bios.prompt", text, ["traits"], FIELDS)
