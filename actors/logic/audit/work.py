"""Occupation, education, expertise and language from a description."""

from __future__ import annotations

from collections.abc import Iterator

from actors.logic.audit.grammar import SUBJECTS, ends, is_one_phrase, number
from actors.logic.audit.lexicon import ADJECTIVE, Match, attributes
from actors.logic.audit.sentence import Evidence, Sentence
from actors.logic.audit.word_sets import word_set

_NOT_YET = word_set("not_yet")
_HOLDS = word_set("holds")
_SPEAKS = word_set("speaks")
_NO_SPEAKERS = word_set("no_speakers")
_EXPERIENCED_YEARS = 5


def occupation(sentence: Sentence) -> tuple[Evidence, str] | None:
    """The group, and the title in lower case. The last title of the first phrase that has one: "nurse manager"."""
    own = [match for match in sentence.of("occupation") if _is_job(sentence, match)]
    if not own:
        return None
    found = own[0]
    for later in own[1:]:
        if not is_one_phrase(sentence.words, found.stop, later.start):
            break
        found = later
    evidence = sentence.by(found)
    return evidence, evidence.words.lower()


def _is_job(sentence: Sentence, match: Match) -> bool:
    words, start = sentence.words, match.start
    if _NOT_YET.intersection(words[max(0, start - 4) : start]):
        return False
    is_whole = ends(words, match.stop) or match.stop in sentence.starts("gender", "occupation")
    return is_whole and sentence.is_own(start)


def education(sentence: Sentence) -> Evidence | None:
    """The highest level that is said."""
    order = attributes()["education"].names
    found = [match for match in sentence.of("education") if _is_held(sentence, match)]
    return sentence.by(max(found, key=lambda match: order.index(match.group))) if found else None


def _is_held(sentence: Sentence, match: Match) -> bool:
    words = sentence.words
    is_whole = ends(words, match.stop) or match.stop in sentence.starts("gender", "occupation")
    if not is_whole:
        return False
    if sentence.is_own(match.start):
        return True
    for at in range(match.start - 1, max(-1, match.start - 6), -1):
        if words[at] in (".", ";"):
            return False
        if words[at] in _HOLDS:
            return not _is_of_another(sentence, at)
    return False


def _is_of_another(sentence: Sentence, at: int) -> bool:
    """Whether who stands before the word at `at` is somebody else."""
    before = [match for match in (*sentence.of("gender"), *sentence.of("occupation")) if match.stop == at]
    return any(not sentence.is_own(match.start) for match in before)


def expertise(sentence: Sentence) -> Evidence | None:
    words = sentence.words
    for match in _in_order(sentence.of(ADJECTIVE), sentence.of("expertise")):
        is_whole = ends(words, match.stop)
        if is_whole != (match.kind == ADJECTIVE) and sentence.is_own(match.start):
            return sentence.by(match)
    return _years_of_experience(sentence)


def _years_of_experience(sentence: Sentence) -> Evidence | None:
    words = sentence.words
    for at, word in enumerate(words):
        if word != "experience":
            continue
        before = words[max(0, at - 5) : at]
        if {"no", "little"}.intersection(before[-2:]):
            return sentence.evidence("beginner", at - 1, at + 1)
        if "decades" in before:
            return sentence.evidence("experienced", at - 2, at + 1)
        if "years" in before:
            years = before.index("years") + at - len(before)
            told = [
                one for back in (1, 3) if years >= back and (one := number(words, years - back)) and one[1] == years
            ]
            if told and told[0][0] >= _EXPERIENCED_YEARS:
                return sentence.evidence("experienced", years - 1, at + 1)
    return None


def _in_order(*matches: list[Match]) -> Iterator[Match]:
    return iter(sorted((match for some in matches for match in some), key=lambda match: match.start))


def language(sentence: Sentence) -> Evidence | None:
    """What the person is said to speak; of more than one group, `several`."""
    found: list[Match] = []
    for match in sentence.of("language"):
        if match.group == "several":
            if sentence.is_own(match.start):
                return sentence.by(match)
        elif _is_spoken(sentence, match, found[-1] if found else None):
            found.append(match)
    if not found:
        return None
    groups = {match.group for match in found}
    return sentence.evidence(groups.pop() if len(groups) == 1 else "several", found[0].start, found[-1].stop)


def _is_spoken(sentence: Sentence, match: Match, before: Match | None) -> bool:
    words, start, stop = sentence.words, match.start, match.stop
    if before and all(word in (",", "and", "/", "-", "or") for word in words[before.stop : start]):
        return True
    if not sentence.is_capital(start) and match.group != "Sign language":
        return False
    if words[stop : stop + 2] == ["-", "speaking"]:
        return sentence.is_own(start) and not _NO_SPEAKERS.intersection(words[stop + 2 : stop + 3])
    if words[stop : stop + 1] == ["speaker"]:
        return sentence.is_own(start)
    at = start - 1
    while at >= 0 and words[at] in ("in", "of", "both", "only", "broken", "some", "speaker", "fluently"):
        at -= 1
    if at < 0 or words[at] not in _SPEAKS:
        return False
    return sentence.is_own(at) or (at > 0 and words[at - 1] in (*SUBJECTS, "and", "also", ","))
