"""Whether words of an English description are about its own person, told by the words around them.

A description opens with its person ("A retired nurse from Accra, mother of two, who …"). What is said there, or after
"who is a", "works as a" and the like, is about them; "the husband of a nurse", "her father, a miner" is about others.
All functions take lower-cased words (`tokens`); `head` is where the opening ends.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.logic.audit.word_sets import word_set

RELATIVES = word_set("relatives")
SUBJECTS = word_set("subjects")
ARTICLES = word_set("articles")
OTHERS = word_set("others")
PREPOSITIONS = word_set("prepositions")
JOINS = frozenset(["and", "or", "&", "/", "turned", "cum"])
COPULAS = word_set("copulas")
_WORKS = word_set("works")
_ADVERBS = word_set("adverbs")
_PAUSES = frozenset([",", "—", "–", ":", "("])
_ENDS = frozenset([".", ";", ":", "(", ")", "!", "?", "—", "–", ",", '"', "“", "”"])
_TITLES = word_set("titles")
_SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBERS = {name: at for at, name in enumerate(_SMALL)} | {name: 20 + 10 * at for at, name in enumerate(_TENS)}
_FEW = frozenset(["several", "many", *NUMBERS])


def head_of(words: Sequence[str]) -> int:
    """Where the opening ends: at the first relative word or end of a sentence."""
    for at, word in enumerate(words):
        if word in RELATIVES or (word in (".", ";", "!", "?") and not (at and words[at - 1] in _TITLES)):
            return at
    return len(words)


def is_own(words: Sequence[str], head: int, at: int) -> bool:
    """Whether the noun phrase that the word at `at` stands in names, or describes, the description's person."""
    while at > 0:
        at -= 1
        word = words[at]
        if word in ARTICLES:
            return _opens(words, head, at)
        if word in COPULAS and word != "s":
            return _has_subject(words, head, at)
        if word in PREPOSITIONS and not (word == "of" and _is_number(words[at + 1])):
            return False
        if word in OTHERS or word in RELATIVES or word in (".", ";", "!", "?"):
            return False
        if word in _PAUSES:
            return at < head
    return True


def ends(words: Sequence[str], stop: int) -> bool:
    """Whether a noun phrase may end before the word at `stop`: no noun follows, and nothing is possessed."""
    if stop >= len(words):
        return True
    word = words[stop]
    if word in ("'", "-"):
        return False
    return (
        word in _ENDS
        or word in PREPOSITIONS
        or word in RELATIVES
        or word in JOINS
        or word in COPULAS
        or word in _ADVERBS
        or word == "as"
        or (len(word) > 4 and word.endswith(("ing", "ed", "ly")))
    )


def is_one_phrase(words: Sequence[str], start: int, stop: int) -> bool:
    """Whether nothing between two places divides a noun phrase."""
    return not any(
        word in _ENDS or word in PREPOSITIONS or word in RELATIVES or word in JOINS or word == "as"
        for word in words[start:stop]
    )


def number(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """A whole number in digits or words ("fifty-two") at `at`, and where it ends."""
    word = words[at]
    if word.isdecimal():
        return (int(word), at + 1) if len(word) < 4 else None
    if (value := NUMBERS.get(word)) is None:
        return None
    unit = NUMBERS.get(words[at + 2], 0) if words[at + 1 : at + 2] == ["-"] and at + 2 < len(words) else 0
    return (value + unit, at + 3) if value >= 20 and 0 < unit < 10 else (value, at + 1)


def _opens(words: Sequence[str], head: int, at: int) -> bool:
    """Whether a phrase whose article is at `at` is about the person: it is the first, an addition to it, or what they
    are said to be or to work as."""
    before = at - 1
    while before >= 0 and (words[before] in _ADVERBS or words[before] in ('"', "“", "*")):
        before -= 1
    if before < 0:
        return True
    word = words[before]
    if word in _PAUSES:
        return before < head
    if word in JOINS:
        return is_own(words, head, before)
    if word in COPULAS:
        return _has_subject(words, head, before)
    return word == "as" and any(one in _WORKS for one in words[max(0, before - 3) : before])


def _has_subject(words: Sequence[str], head: int, at: int) -> bool:
    """Whether what is said to be something (a copula at `at`) is the person."""
    before = at - 1
    while before >= 0 and (words[before] in _ADVERBS or words[before] == "'"):
        before -= 1
    if before < 0 or words[before] in SUBJECTS:
        return True
    return before < head and is_own(words, head, at) and words[at] != "s"


def _is_number(word: str) -> bool:
    return word in _FEW or word.isdecimal()
