"""What a bio or a backstory must be: its length, and the traits that it says. Rules of thumb, for any language that
parts words by spaces, and for length also for those that do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

from actors.logic.persona import normal_form
from actors.logic.variables import Value

Traits = Mapping[str, Value]
Domains = Mapping[str, tuple[str, ...]]
"""The words that variables may have for values, by the variables' names."""


class BioKind(StrEnum):
    """One sentence, or a narrative of 150 to 250 words."""

    BIO = "bio"
    BACKSTORY = "backstory"


WORDS = {BioKind.BIO: (6, 120), BioKind.BACKSTORY: (150, 250)}
LEAST_SAID = 0.5  # of the traits that can be looked for

_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
_CHARACTERS_PER_WORD = 2  # of scripts that do without spaces, about
_END = re.compile(r"(\S*)[.!?؟।][\"'”’»)\]]*\s+(?=[\"'“‘«(]*([^\W\d_]))|[。！？](?=.)")
_ABBREVIATION = re.compile(
    r"(?:^|\W)(?:[^\W\d_]|dr|mr|mrs|ms|st|mt|jr|sr|prof|rev|hon|approx|vs|no|[^\W\d_]\.[^\W\d_])$"
)


def fault(text: str, kind: BioKind, traits: Traits | None = None, domains: Domains | None = None) -> str:
    """Why the text will not do, in words that a model can act on; empty where it will. Traits are looked for where they
    are given, and other values of theirs where `domains` names them."""
    low, high = WORDS[kind]
    if kind is BioKind.BIO and (count := sentences(text)) != 1:
        return f"the bio has {count} sentences; write exactly one"
    if not low <= (count := words(text)) <= high:
        return f"the {kind} has {count} words; write between {low} and {high}"
    left = unsaid(text, traits) if traits else []
    if left and traits and said(text, traits) < LEAST_SAID:
        return f"the {kind} does not show these traits: {'; '.join(left)}"
    if wrong := list(contradicted(text, traits or {}, domains or {})):
        return f"the {kind} contradicts these traits: {'; '.join(wrong)}"
    return ""


def words(text: str) -> int:
    """Words, or what would be words in scripts that do not part them."""
    unspaced = len(_UNSPACED.findall(text))
    return len(normal_form(_UNSPACED.sub(" ", text)).split()) + round(unspaced / _CHARACTERS_PER_WORD)


def sentences(text: str) -> int:
    """Sentences, where titles and initials end none."""
    text = text.strip()
    return 1 + sum(map(_ends, _END.finditer(text))) if text else 0


def _ends(found: re.Match[str]) -> bool:
    before, after = found[1] or "", found[2] or ""
    return not after.islower() and not _ABBREVIATION.search(before.lower())


def said(text: str, traits: Traits) -> float:
    """The share of the traits that can be looked for which the text says; 1 where none can."""
    found = [shows for _, shows in _looked_for(text, traits)]
    return sum(found) / len(found) if found else 1.0


def unsaid(text: str, traits: Traits) -> list[str]:
    """ "age: 34" for each trait that was looked for in vain."""
    return [f"{name}: {traits[name]}" for name, shows in _looked_for(text, traits) if not shows]


def contradicted(text: str, traits: Traits, domains: Domains) -> Iterator[str]:
    """ "sex: male, but it says female" for each trait that was looked for in vain where another value of the same
    variable stands in its place, word by word."""
    form = f" {normal_form(text)} "
    for name, shows in _looked_for(text, traits):
        for other in () if shows else domains.get(name, ()):
            if other != traits[name] and f" {normal_form(other)} " in form and not _leaves_no_trace(other):
                yield f"{name}: {traits[name]}, but it says {other}"
                break


_YES, _NO = {"yes", "true"}, {"no", "none", "false", "other", "unknown", "n a"}
_COMMON = {"has", "have", "is", "owns", "own", "was", "does", "can", "in", "of", "the", "and", "with", "for"}
_RANGE = re.compile(r"^(\d+)\s*(?:[-–—]|to)\s*(\d+)$|^(\d+)\s*\+$")
_NUMBER = re.compile(r"\d+(?:[,\u202f\u00a0]\d{3})*(?:\.\d+)?")
_STEM = 4  # characters by which "farmer" and "farming" are the same


def _looked_for(text: str, traits: Traits) -> Iterator[tuple[str, bool]]:
    """The names of traits whose value would leave a trace, and whether it did."""
    form = normal_form(text)
    numbers = {float(re.sub(r"[^\d.]", "", one)) for one in _NUMBER.findall(text)} | set(_spelled(form))
    for name, value in traits.items():
        if not isinstance(value, str):
            yield name, float(value) in numbers
        elif found := _RANGE.match(value.strip()):
            low, high = float(found[1] or found[3]), float(found[2] or "inf")
            yield name, any(low <= number <= high for number in numbers)
        elif normal_form(value) not in _NO:
            told = normal_form(name if normal_form(value) in _YES else value)
            telling = [word for word in told.split() if word not in _COMMON] or told.split()
            if telling:
                yield name, any(_has(form, word[:_STEM]) for word in telling)


def _leaves_no_trace(value: str) -> bool:
    return normal_form(value) in _YES | _NO or _RANGE.match(value) is not None or not normal_form(value)


def _has(form: str, stem: str) -> bool:
    return stem in form if _UNSPACED.search(stem) else f" {stem}" in f" {form}"


_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_ONES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_SMALL = {name: at for at, name in enumerate([*_ONES, *_TEENS])}
_DECADES = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_TENS = {name: 10 * at for at, name in enumerate(_DECADES, 2)}


def _spelled(form: str) -> Iterator[float]:
    """English numbers below a hundred in a normal form, where a hyphen is a space."""
    before = 0
    for word in form.split():
        if word in _SMALL:
            yield float((before if _SMALL[word] < 10 else 0) + _SMALL[word])
        elif word in _TENS:
            yield float(_TENS[word])
        before = _TENS.get(word, 0)
