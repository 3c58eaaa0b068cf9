"""What a tool says, as the content of its message."""

from __future__ import annotations

import json

MOST_CHARACTERS = 20_000
_compact = json.JSONEncoder(separators=(", ", ": "), ensure_ascii=False, allow_nan=False).encode


def content_of(result: object) -> str:
    """A result as JSON, a text as it is, cut at `MOST_CHARACTERS`. Raises `TypeError` or `ValueError` where it is no
    JSON."""
    text = result if isinstance(result, str) else _compact(result)
    if len(text) <= MOST_CHARACTERS:
        return text
    return f"{text[:MOST_CHARACTERS]}… (cut: {MOST_CHARACTERS:,} of {len(text):,} characters)"


def error_of(why: str) -> str:
    """The content of a tool that has failed."""
    return _compact({"error": why[:MOST_CHARACTERS]})


def is_error(content: str) -> bool:
    """Whether a tool's message tells of a failure: an object with an `error`."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and bool(said.get("error"))
