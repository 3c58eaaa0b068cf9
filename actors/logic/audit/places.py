"""Where a person lives, from a description: a place that they are said to be in or from, else their nationality."""

from __future__ import annotations

from actors.logic.audit.grammar import ARTICLES, OTHERS, ends, is_own
from actors.logic.audit.lexicon import PEOPLE, Match
from actors.logic.audit.sentence import Evidence, Sentence
from actors.logic.audit.word_sets import word_set

_AT = word_set("at")
_MOVED = word_set("moved")
_KINDS = word_set("kinds")
_PART_OF = word_set("part_of")
_ELSEWHERE = word_set("elsewhere")
_LIVES = word_set("lives")
_DESCRIBING = word_set("describing")
_PERSONS = word_set("persons")
_OF_THE_LANGUAGE = word_set("of_the_language")
_FAR = 8  # words before a place that decide


def region(sentence: Sentence) -> Evidence | None:
    for match in sentence.of("region"):
        if _is_named(sentence, match) and _is_home(sentence, match):
            return sentence.by(match)
    for match in sentence.of(PEOPLE):
        if _is_nationality(sentence, match):
            return sentence.by(match)
    return None


def _is_named(sentence: Sentence, match: Match) -> bool:
    """Not the beginning of another name ("Paris Hilton"), and not where somebody was only born or trained."""
    words, first = sentence.words, match.start + (sentence.words[match.start] == "the")
    if not sentence.is_capital(first):
        return False
    if words[match.stop : match.stop + 1] == ["-"]:
        return words[match.stop + 1 : match.stop + 2] == ["based"] and sentence.is_own(match.start)
    if words[match.stop : match.stop + 1] == ["'"]:
        return False
    return not sentence.is_capital(match.stop) or match.stop in sentence.starts("region")


def _is_home(sentence: Sentence, match: Match) -> bool:
    words = sentence.words
    if words[match.stop : match.stop + 2] == ["-", "based"]:
        return True
    at = _preposition(words, match.start)
    if at is None:
        return False
    before = words[max(0, at - _FAR) : at]
    if "," in before:
        before = before[len(before) - before[::-1].index(",") :]
    lives = max((back for back, word in enumerate(before) if word in _LIVES), default=None)
    if _ELSEWHERE.intersection(before[lives:] if lives is not None else before):
        return False
    if lives is not None:
        return _are_own(sentence, at - len(before) + lives, 2)
    return at < sentence.head and _is_own_place(sentence, at)


def _are_own(sentence: Sentence, at: int, reach: int) -> bool:
    """Whether all people named in the `reach` words before the word at `at` are the person."""
    named = (match for kind in ("occupation", "gender") for match in sentence.of(kind) if at - reach < match.stop <= at)
    return all(sentence.is_own(match.start) for match in named)


def _preposition(words: list[str], start: int) -> int | None:
    """Where "in", "from" and the like stands before a place: "in a suburb of", "on the coast of", "from rural"."""
    at = start - 1
    while at >= 0:
        if words[at] == "of" and at and words[at - 1] in _PART_OF:
            at -= 2
        elif words[at] in ARTICLES or words[at] in _KINDS:
            at -= 1
        else:
            break
    if at < 0:
        return None
    if words[at] == "to":
        return at if at and words[at - 1] in _MOVED else None
    return at if words[at] in _AT or words[at + 1] in ("resident", "native", "citizen") else None


def _is_own_place(sentence: Sentence, at: int) -> bool:
    """Whether the opening's words before the preposition at `at` are the person, or where they work."""
    words, jobs = sentence.words, {match.stop for match in sentence.of("occupation")}
    if not _are_own(sentence, at, 4):
        return False
    for back in range(at - 1, max(-1, at - _FAR - 1), -1):
        word = words[back]
        if word in OTHERS or word in ("about", "against", "between"):
            return False
        if word == "of" and back not in jobs and not is_own(words, sentence.head, back + 1):
            return False
    return True


def _is_nationality(sentence: Sentence, match: Match) -> bool:
    """A nationality counts beside a word for a person, and not where it may be that of a language or a cuisine."""
    words, stop = sentence.words, match.stop
    if not sentence.is_capital(match.start) or not sentence.is_own(match.start):
        return False
    while stop < len(words) and words[stop] in _DESCRIBING:
        stop += 1
    who = [one for kind in ("occupation", "gender", "age") for one in sentence.of(kind) if one.start == stop]
    if not who:
        return stop < len(words) and words[stop] in _PERSONS
    title = words[(longest := max(who, key=lambda one: one.stop)).start : longest.stop]
    may_be_of_language = title[-1] in _OF_THE_LANGUAGE and (len(title) == 1 or title[0] == "language")
    return not may_be_of_language and ends(words, longest.stop)
