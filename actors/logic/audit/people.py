"""Age and gender from a description: numbers, decades, nouns and pronouns. Never from a name or a job."""

from __future__ import annotations

from actors.logic.audit.grammar import NUMBERS, OTHERS, ends, number
from actors.logic.audit.sentence import Evidence, Sentence
from actors.logic.audit.word_sets import word_set

_OLDEST = 119
_SHE, _HE = frozenset(["she", "her", "hers", "herself"]), frozenset(["he", "him", "his", "himself"])
_DECADES = {f"{name[:-1]}ies": years for name, years in NUMBERS.items() if years >= 20}
_POSSESSIVES = frozenset(["his", "her", "their", "my"])
_PARTS = frozenset(["early", "mid", "late", "-"])
_ADJECTIVAL = word_set("adjectival")


def age(sentence: Sentence) -> Evidence | None:
    words = sentence.words
    for at, word in enumerate(words):
        if word[0].isdigit() or word in ("aged", "age") or word in _DECADES or number(words, at):
            found = _years(sentence, at) or _decade(sentence, at)
            if found:
                start, stop, years = found
                if years <= _OLDEST and (sentence.is_own(start) or start in sentence.own_stops()):
                    return sentence.evidence(band(years), start, stop)
    for match in sentence.of("age"):
        if sentence.is_own(match.start) and (ends(words, match.stop) or _is_adjectival(sentence, match.stop)):
            return sentence.by(match)
    return None


def band(years: int) -> str:
    """The group of an age."""
    if years < 20:
        return "0–12" if years < 13 else "13–19"
    return "80+" if years >= 80 else f"{years // 10 * 10}–{years // 10 * 10 + 9}"


def _years(sentence: Sentence, at: int) -> tuple[int, int, int] | None:
    """Where an age begins and ends, and the years: "52-year-old", "aged 52", ", 52,", "a judge of 52"."""
    words = sentence.words
    if words[at] in ("aged", "age"):
        told = number(words, at + 1) if at + 1 < len(words) else None
        return (at, told[1], told[0]) if told else None
    told = number(words, at)
    if not told:
        return None
    years, stop = told
    rest = [word for word in words[stop : stop + 5] if word != "-"]
    if rest[:2] in (["year", "old"], ["years", "old"]):
        return at, words.index("old", stop) + 1, years
    if words[at - 1 : at] in (["of"], ["at"]) and words[at].isdecimal() and 10 <= years < 100 and ends(words, stop):
        return (at - 1, stop, years) if at - 1 in sentence.own_stops() else None
    between_commas = at > 0 and words[at - 1] == "," and words[stop : stop + 1] == [","]
    if between_commas and at < sentence.head and words[at].isdecimal() and 5 <= years < 100:
        return None if OTHERS.intersection(words[:at]) else (at, stop, years)
    return None


def _decade(sentence: Sentence, at: int) -> tuple[int, int, int] | None:
    """ "in her (early) fifties", "in his mid-30s"."""
    words = sentence.words
    if words[at].isdecimal() and words[at + 1 : at + 2] == ["s"] and len(words[at]) == 2 and words[at][1] == "0":
        years, stop = int(words[at]), at + 2
    elif words[at] in _DECADES:
        years, stop = _DECADES[words[at]], at + 1
    else:
        return None
    start = at - 1
    while start >= 0 and (words[start] in _PARTS or words[start] == "'"):
        start -= 1
    if start < 1 or words[start] not in _POSSESSIVES or words[start - 1] != "in":
        return None
    return start - 1, stop, years


def gender(sentence: Sentence) -> Evidence | None:
    """By a noun of the person's own, else by pronouns of one gender that no other person could be meant by."""
    words, others = sentence.words, []
    for match in sentence.of("gender"):
        if sentence.is_own(match.start) and (
            ends(words, match.stop) or words[match.start] in _ADJECTIVAL or _is_adjectival(sentence, match.stop)
        ):
            return sentence.by(match)
        others.append(match)
    she = next((at for at, word in enumerate(words) if word in _SHE), None)
    he = next((at for at, word in enumerate(words) if word in _HE), None)
    if (she is None) == (he is None):
        return None
    at, group = (she, "woman") if she is not None else (he, "man")
    assert at is not None
    if any(match.group == group and match.start < at for match in others):
        return None
    return sentence.evidence(group, at, at + 1)


def _is_adjectival(sentence: Sentence, stop: int) -> bool:
    """A word for the person follows at once: "woman engineer", "teenage mother"."""
    return stop in sentence.starts("gender", "occupation")
