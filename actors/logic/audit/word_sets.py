"""Sets of small words, by name, from `lexicon/grammar.yaml`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml


def word_set(name: str) -> frozenset[str]:
    """`KeyError` where there is none of the name."""
    return _sets()[name]


@cache
def _sets() -> dict[str, frozenset[str]]:
    content = yaml.safe_load(files(__package__).joinpath("lexicon/grammar.yaml").read_text("utf-8"))
    return {name: frozenset(str(words).split()) for name, words in content.items()}
