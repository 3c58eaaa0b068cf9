"""Whether an English text says of its person that something is so, or that it is not: what "owns land" and "married"
are held to. Rules of thumb; other languages make no claims here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from actors.logic.claim_words import APART, APART_FROM_WITH, DENYING, ENGLISH, HAS, IS, NOT_NOW, OTHERS, OWNS, WITH
from actors.logic.persona import normal_form

_REACH = 4  # words by which a denial stands before what it denies
_NEAR = 5  # words by which "owns" stands before "land"
_STEM = 4
_LONGER = 3  # letters by which "child" and "children" differ at most; "land" and "landlord" differ by more
_ENOUGH_ENGLISH = 3

_CLAUSE = re.compile(r"[.,;:!?()\n–—]|\b(?:but|and|while|although|though|yet)\b", re.IGNORECASE)
_UNTELLING = re.compile(r"\bnot (?:only|just|merely)\b|:(?=\s*(?:no|none|false)\b)", re.IGNORECASE)
_OPPOSITE = re.compile(r"^(?:un|non|il(?=l))")
_HAVING = HAS | OWNS | WITH
_LEADS = dict.fromkeys(("has", "have", "had", "owns", "own"), _HAVING) | dict.fromkeys(("is", "was", "are"), IS)


def clauses(text: str) -> Iterator[list[str]]:
    """The words of each clause."""
    for part in _CLAUSE.split(_UNTELLING.sub(" ", text)):
        if words := normal_form(part).split():
            yield words


def mentions(text: str, names: Sequence[str]) -> Iterator[bool]:
    """For each word that has a stem in common with one of the names, whether it stands there undenied: it does not in
    "no land", "landless", "unmarried" and "owns land: no"."""
    for clause in clauses(text):
        for at, word in enumerate(clause):
            if name := next((one for one in names if word.startswith(one[:_STEM])), None):
                yield not _is_denied(clause, at, name)
            elif (bare := _OPPOSITE.sub("", word)) != word and bare.startswith(tuple(one[:_STEM] for one in names)):
                yield False


def claimed(text: str, name: str) -> str:
    """The words by which the text says that what a variable is called holds of its person now; empty where it does
    not: "owns land" of `owns_land`, and not what a father owned, or what is hoped for."""
    told = normal_form(name).split()
    asked = _LEADS.get(told[0]) if len(told) > 1 else IS | _HAVING
    things = told[1:] if len(told) > 1 and asked else told
    if not things or len(ENGLISH.intersection(normal_form(text).split())) < _ENOUGH_ENGLISH:
        return ""
    return next((" ".join(found) for clause in clauses(text) if (found := _claim(clause, things, asked))), "")


def _claim(clause: list[str], things: Sequence[str], asked: frozenset[str] | None) -> list[str]:
    if OTHERS.intersection(clause) or NOT_NOW.intersection(clause) or _is_past_perfect(clause):
        return []
    first = at = -1
    for thing in things:
        at = next((here for here in range(at + 1, len(clause)) if _is_form(clause[here], thing)), -1)
        if at < 0 or _is_denied(clause, at, thing):
            return []
        first = at if first < 0 else first
    if asked is None:
        return clause[first : at + 1] if at - first <= _NEAR else []
    leads = (here for here in range(max(0, first - _NEAR), first) if clause[here] in asked)
    lead = next((here for here in leads if _holds_together(clause[here], clause[here + 1 : first])), -1)
    return clause[lead : at + 1] if lead >= 0 else []


def _holds_together(lead: str, between: Sequence[str]) -> bool:
    """Whether a lead belongs to what follows the words between: "has 3 acres of", not "has worked the"."""
    if lead in WITH:
        return len(between) <= 1 and not APART_FROM_WITH.intersection(between)
    worked = lead in HAS and any(one.endswith(("ed", "ing")) for one in between)
    return not worked and not APART.intersection(between)


def _is_denied(clause: Sequence[str], at: int, name: str) -> bool:
    before = clause[max(0, at - _REACH) : at]
    is_table = clause[at + 1 : at + 2] in (["no"], ["none"], ["false"])
    return is_table or not DENYING.isdisjoint(before) or (clause[at].endswith("less") and not name.endswith("less"))


def _is_form(word: str, of: str) -> bool:
    return word[:_STEM] == of[:_STEM] and abs(len(word) - len(of)) <= _LONGER


def _is_past_perfect(clause: Sequence[str]) -> bool:
    return any(one == "had" and after.endswith("ed") for one, after in pairwise(clause))
