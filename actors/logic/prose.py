"""Prose as it is measured and put together, in whole sentences: for any language that parts words by spaces, and for
length also those that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from actors.logic.persona import normal_form

UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_CHARACTERS_PER_WORD = 2  # of scripts that do without spaces, about
_REPEATED = 0.75  # of the words of a sentence that repeats another one
_END = re.compile(r"(\S*)[.!?؟।][\"'”’»)\]]*\s+(?=[\"'“‘«(]*([^\W\d_]))|[。！？](?=.)")
_ABBREVIATION = re.compile(
    r"(?:^|\W)(?:[^\W\d_]|dr|mr|mrs|ms|st|mt|jr|sr|prof|rev|hon|approx|vs|no|[^\W\d_]\.[^\W\d_])$"
)


def words(text: str) -> int:
    """Words, or what would be words in scripts that do not part them."""
    unspaced = len(UNSPACED.findall(text))
    return len(normal_form(UNSPACED.sub(" ", text)).split()) + round(unspaced / _CHARACTERS_PER_WORD)


def sentences(text: str) -> int:
    """Sentences, where titles and initials end none."""
    return len(list(_parted(text.strip())))


def continued(text: str, more: str) -> str:
    """The text and after it those sentences of `more` that repeat none before them, wholly or in most of their words:
    what a small model falls into."""
    kept = [one.strip() for one in _parted(text)]
    known = [_distinct(one) for one in kept]
    for one in _parted(more):
        its = _distinct(one)
        if not any(len(its & before) >= _REPEATED * len(its) for before in known):
            kept.append(one.strip())
            known.append(its)
    return " ".join(kept)


def _distinct(sentence: str) -> set[str]:
    return set(normal_form(sentence).split())


def cut(text: str, most: int) -> str:
    """As many whole sentences from the beginning as have at most so many words; the text where its first has more."""
    kept = ""
    for one in _parted(text):
        if words(kept + one) > most:
            break
        kept += one
    return kept.strip() or text


def _parted(text: str) -> Iterator[str]:
    """The sentences, each with the space after it."""
    start = 0
    for found in _END.finditer(text):
        if _ends(found):
            yield text[start : found.end()]
            start = found.end()
    if start < len(text):
        yield text[start:]


def _ends(found: re.Match[str]) -> bool:
    before, after = found[1] or "", found[2] or ""
    return not after.islower() and not _ABBREVIATION.search(before.lower())
