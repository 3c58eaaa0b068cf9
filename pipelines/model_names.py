"""Whether an endpoint's list of models has the one that is meant: the same model goes by several names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

_SHOWN = 8
_DATE = r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|\d{3})"


def is_listed(model: str, names: Collection[str]) -> bool:
    """Whether one of the names is the model's: as it is, with Gemini's `models/` or Ollama's `:latest`, without
    OpenRouter's `:nitro`, or dated where the model is named by an alias (Anthropic's lists hold no aliases)."""
    bare = model.removeprefix("models/")
    if not {model, bare, f"models/{bare}", f"{model}:latest", model.partition(":")[0]}.isdisjoint(names):
        return True
    dated = re.compile(re.escape(bare.removesuffix("-latest")) + _DATE)
    return any(dated.fullmatch(name.removeprefix("models/")) for name in names)


def nearest_first(model: str, names: Collection[str]) -> str:
    """The listed models in words, those like the one that is meant first, the rest counted."""
    alike = difflib.get_close_matches(model, names, n=_SHOWN, cutoff=0.3)
    shown = list(dict.fromkeys([*alike, *sorted(names)]))[:_SHOWN]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more
