"""Whether a description is that of a real person under their own name.

Names that a document holds, and a list of some 300 that everybody knows, are those of real people; others are taken to
be made up. A person who admires a singer is not the singer: only the name of who is described counts.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_TITLE = r"(?:(?:Dr|Mr|Mrs|Ms|Prof|Sir|Saint|St)\.?|President|Senator|Professor|Minister|Chancellor|King|Queen|Pope)"
_WORD = r"(?:[A-ZÀ-ÖØ-ÞŁŚŻČŠŽİ][\w.’'-]*|de|da|del|der|van|von|bin|al|la|el|the)"
_NAME = rf"[A-ZÀ-ÖØ-ÞŁŚŻČŠŽİ][\w.’'-]*(?:\s{_WORD}){{0,4}}"
_AT_THE_START = re.compile(rf"^((?:{_TITLE}\s)?)({_NAME})(?=,|\s\(|\s(?:is|was|who|has|wants|works|lives)\b|$)")
_CALLED = re.compile(rf"\b(?:named|called|known as|namens|nommée?|llamad[oa])\s((?:{_TITLE}\s)?)({_NAME})")


def real_person(text: str, document: str) -> str:
    """The name of the real person whom the text describes; empty where it describes none."""
    for found in (_AT_THE_START.match(text), _CALLED.search(text)):
        if found:
            title, name = found.groups()
            if name.casefold() in _well_known():
                return name
            if " " in (called := title + name) and (called in document or (" " in name and name in document)):
                return called
    return ""


@cache
def _well_known() -> frozenset[str]:
    lines = files(__package__).joinpath("well_known.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip().casefold() for line in lines if line.strip())
