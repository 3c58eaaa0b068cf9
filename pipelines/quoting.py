"""Texts of models in Markdown."""

from __future__ import annotations

_ENTITIES = {"<": "&lt;", ">": "&gt;"}


def quote(text: str) -> str:
    """On one line, with nothing that Markdown or HTML would act on."""
    flat = " ".join(text.split())
    return "".join(_ENTITIES.get(one, f"\\{one}" if one in "\\`*_{}[]#|" else one) for one in flat)
