"""Prompt templates of the user's own, as they lie in files."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import UserError


def read_template(setting: str, path: str | None) -> str:
    """The text of the file that stands under `setting`, empty where none does. `UserError` where there is no text in
    it."""
    if not path:
        return ""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise UserError(f"{setting}: {path} cannot be read ({reason})") from None
    if not text:
        raise UserError(f"{setting}: {path} is empty")
    return text
