"""Whether a text speaks of a tool by its name, as neither a user nor an assistant does in front of the other."""

from __future__ import annotations

import re
from collections.abc import Iterable

from actors.logic.tools.listing import Tool

_TELLING = re.compile(r"[_-]|[a-z][A-Z]|\d")  # in a name that nobody says by chance


def named_in(text: str, tools: Iterable[Tool]) -> str:
    """The first tool that is named; empty where none is."""
    return next((tool.name for tool in tools if _TELLING.search(tool.name) and tool.name in text), "")
