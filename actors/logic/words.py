"""The words of a text, in whatever script."""

from __future__ import annotations

import re

from actors.logic.persona import UNSPACED, normal_form

UNIT = re.compile(rf"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})\S)+")


def words(text: str) -> list[str]:
    """The words of the text's normal form in order; single characters of scripts that do without spaces."""
    return UNIT.findall(normal_form(text))
