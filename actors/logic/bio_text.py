"""What a bio or a backstory must be: its length, and the traits that it says. Rules of thumb."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from actors.logic.claim_words import DENYING, GENDERS
from actors.logic.claims import claimed, mentions
from actors.logic.persona import normal_form
from actors.logic.prose import UNSPACED, sentences, words
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


def fault(
    text: str,
    kind: BioKind,
    traits: Traits | None = None,
    domains: Domains | None = None,
    says_all: bool = False,
) -> str:
    """Why the text will not do, in words that a model can act on; empty where it will. Traits are looked for where they
    are given, and other values of theirs where `domains` names them. One that `says_all` has to say every trait, what
    is not so as well."""
    found = (_fault_of_length(text, kind), _fault_of_traits(text, kind, traits or {}, domains or {}, says_all))
    return "; ".join(filter(None, found))


def may_go_on(text: str, kind: BioKind, traits: Traits | None = None, domains: Domains | None = None) -> bool:
    """Whether nothing but more of it is missing to a backstory."""
    is_short = 0 < words(text) < WORDS[kind][0]
    fault_of_traits = _fault_of_traits(text, kind, traits or {}, domains or {})
    return kind is BioKind.BACKSTORY and is_short and not fault_of_traits


def _fault_of_length(text: str, kind: BioKind) -> str:
    low, high = WORDS[kind]
    if kind is BioKind.BIO and (count := sentences(text)) != 1:
        return f"the bio has {count} sentences; write exactly one"
    count = words(text)
    return "" if low <= count <= high else f"the {kind} has {count} words; write between {low} and {high}"


def _fault_of_traits(text: str, kind: BioKind, traits: Traits, domains: Domains, says_all: bool = False) -> str:
    left = unsaid(text, traits, says_all)
    if left and (says_all or said(text, traits) < LEAST_SAID):
        return f"the {kind} does not show these traits: {'; '.join(left)}"
    if wrong := list(contradicted(text, traits, domains)):
        return f"the {kind} contradicts these traits: {'; '.join(wrong)}"
    return ""


def said(text: str, traits: Traits) -> float:
    """The share of the traits that can be looked for which the text says; 1 where none can."""
    found = [shows for _, shows in _looked_for(text, traits)]
    return sum(found) / len(found) if found else 1.0


def unsaid(text: str, traits: Traits, what_is_not: bool = False) -> list[str]:
    """ "age: 34" for each trait that was looked for in vain, or `what_is_not` so and not said."""
    return [f"{name}: {traits[name]}" for name, shows in _looked_for(text, traits, what_is_not) if not shows]


def contradicted(text: str, traits: Traits, domains: Domains) -> Iterator[str]:
    """ "sex: male, but it says female" for each trait that was looked for in vain where another value of the same
    variable stands in its place, word by word; "owns_land: no, but it says owns land" where yes or no is turned round.
    """
    form, shown = f" {normal_form(text)} ", dict(_looked_for(text, traits))
    for name, value in traits.items():
        wrong = _turned_round(text, name, value)
        if not wrong and shown.get(name) is False:
            others = (one for one in domains.get(name, ()) if one != value and not _leaves_no_trace(one))
            wrong = next((one for one in others if f" {normal_form(one)} " in form), "")
        if wrong:
            yield f"{name}: {value}, but it says {wrong}"


def _turned_round(text: str, name: str, value: Value) -> str:
    """What the text says of a variable that is yes or no, where it is the other of them."""
    if (form := normal_form(str(value))) in _NO:
        return claimed(text, name)
    found = list(mentions(text, _telling(name))) if form in _YES else []
    return "the contrary" if found and not any(found) else ""


_YES, _NO, _VAGUE = {"yes", "true"}, {"no", "none", "false"}, {"other", "unknown", "n a"}
_COMMON = {"has", "have", "is", "owns", "own", "was", "does", "can", "in", "of", "the", "and", "with", "for"} | DENYING
_RANGE = re.compile(r"^(\d+)\s*(?:[-–—]|to)\s*(\d+)$|^(\d+)\s*\+$")
_STEM = 4  # characters by which "farmer" and "farming" are the same
_NUMBER = re.compile(r"\d+(?:[,\u202f\u00a0]\d{3})*(?:\.\d+)?")


def _looked_for(text: str, traits: Traits, what_is_not: bool = False) -> Iterator[tuple[str, bool]]:
    """The names of traits whose value would leave a trace, and whether it did. What is not so is looked for where the
    text has words for it, or in any text."""
    numbers = {float(re.sub(r"[^\d.]", "", one)) for one in _NUMBER.findall(text)} | set(_spelled(normal_form(text)))
    for name, value in traits.items():
        if not isinstance(value, str):
            yield name, float(value) in numbers or (not value and False in mentions(text, _telling(name)))
        elif found := _RANGE.match(value.strip()):
            low, high = float(found[1] or found[3]), float(found[2] or "inf")
            yield name, any(low <= number <= high for number in numbers)
        elif (form := normal_form(value)) in _NO:
            is_claimed, is_denied = claimed(text, name) != "", False in mentions(text, _telling(name))
            if is_claimed or is_denied or what_is_not:
                yield name, is_denied and not is_claimed
        elif form not in _VAGUE and (telling := _telling(name if form in _YES else value)):
            is_denial = form not in _YES and not DENYING.isdisjoint(form.split())
            yield name, _shows(text, telling, not is_denial)


def _telling(name: str) -> list[str]:
    """The words of a name or a value that tell it from others."""
    told = normal_form(name).split()
    return [word for word in told if word not in _COMMON] or told


def _shows(text: str, telling: Sequence[str], is_so: bool) -> bool:
    if len(telling) == 1 and telling[0] in GENDERS and _mostly(text, telling[0]):
        return True
    unspaced = [word for word in telling if UNSPACED.search(word)]
    return any(word[:_STEM] in normal_form(text) for word in unspaced) or is_so in mentions(text, telling)


def _mostly(text: str, gender: str) -> bool:
    """Whether more of the small words of this gender stand in the text than of any other."""
    count = {one: sum(word in small for word in normal_form(text).split()) for one, small in GENDERS.items()}
    return all(count[gender] > others for one, others in count.items() if one != gender)


def _leaves_no_trace(value: str) -> bool:
    form = normal_form(value)
    return not form or form in _YES | _NO | _VAGUE or _RANGE.match(value) is not None


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
