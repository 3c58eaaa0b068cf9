"""The filters that every persona goes through before it is compared with others, and what they know of its origin."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from actors.logic.filters.languages import code_of, is_in, language_of
from actors.logic.filters.names import real_person
from actors.logic.persona import Granularity, normal_form, why_no_person
from actors.logic.words import UNIT


class Fault(StrEnum):
    """Why a text is no persona; the `reason` column of `rejected/`."""

    LENGTH = "length"  # too short or long to describe a person
    SELF_DESCRIPTION = "self_description"  # the model speaks of itself, or declines
    PERSONAL_DATA = "personal_data"  # an e-mail address or a telephone number
    LIST = "list"  # several people, or a group of them
    REAL_PERSON = "real_person"  # somebody real under their own name
    ECHO = "echo"  # the words of the document or of the prompt
    GRANULARITY = "granularity"  # says far less or more than was asked for
    LANGUAGE = "language"  # another language than the document's, or than the one asked for


_RUN = 5  # words in a row
_ECHOED = 0.5  # share of the runs of words that the grounds hold as well
_WORDS = {Granularity.COARSE: (2, 30), Granularity.MEDIUM: (5, 80), Granularity.FINE: (12, 200)}
_PER_UNSPACED = 2  # characters for a word, in scripts that do without spaces

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
_PHONE = re.compile(
    r"(?<![\w.,])(?:\+\d{1,3}[ .\-/]?)?(?:\(\d{1,5}\)[ .\-/]?)?\d{2,5}(?:[ .\-/]?\d{2,5}){1,4}(?![\w,])"
)
_PHONE_DIGITS = range(9, 16)
_AI = re.compile(
    r"\b(?:as an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|i(?:['’]m| am) an? (?:ai|(?:large )?language model)|i['’]m sorry"
    r"|i (?:can(?:no|['’])t|am (?:not able|unable) to) (?:help|assist|comply|fulfill|provide|create|generate)"
    r"|als (?:ki|künstliche intelligenz|sprachmodell)\b|en tant qu(?:e |['’])(?:modèle|ia\b|intelligence)"
    r"|como (?:modelo de (?:lenguaje|linguagem)|uma? ia\b|una ia\b|inteligencia artificial))"
    r"|作为(?:一个)?(?:人工智能|AI|语言模型)|(?:AI|言語モデル)として",
    re.IGNORECASE,
)
_ENUMERATED = re.compile(r"(?:^|\s)\(?1[.):]\s.+\s\(?2[.):]\s|(?:^|\s)[-•*]\s.+\s[-•*]\s", re.DOTALL)
_KIN = r"(?!(?:[\w'’-]+\s+)?(?:mother|father|parent|grand\w+|native|graduate|fan|lover|member|veteran|believer)\b)"
_NEXT_PERSON = re.compile(
    r"(?:\.\s+(?:An?|Another|Ein|Eine|Un|Une|Una)|;\s+(?:[Aa]n?|another|eine?|une?|una))\s+"
    rf"{_KIN}(?:[\w'’-]+\s+){{1,4}}(?:who|in|from|with|der|die|qui|que)\b"
)
_GROUP = re.compile(
    r"^(?:(?:people|persons|individuals)\s+(?:who|whose|in|from|with|of|living|working)|those|anyone|everyone"
    r"|members of|groups? of|various|several|many|(?:some|all|both)(?!-)"
    r"|a (?:group|team|couple|family|community|pair|range|list|variety) of"
    r"|an? (?:[\w-]+ ){0,2}couple(?= (?:who|in|from|with|on|at|living|married|whose)\b|,)"
    r"|(?:two|three|four|five|\d+) (?!years?\b|decades?\b)(?:\w+ ){0,2}\w+s)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a persona was made from: a document, or the description of a parent, and what the model was told."""

    text: str
    words: str  # of both, one space around each
    language: str


class Filters:
    """Those of the `chosen` ones, for personas of a `granularity`, in a `language` (English name or code; empty: that
    of what they were made from). A language that the model of languages does not know is not looked at."""

    def __init__(self, chosen: Collection[str], granularity: Granularity, language: str = "") -> None:
        self._chosen, self._granularity = frozenset(chosen), Granularity(granularity)
        self._told, self._language = bool(language), code_of(language) if language else ""

    def grounds(self, text: str, prompt: str = "") -> Grounds:
        asked = Fault.LANGUAGE in self._chosen and not self._told
        language = language_of(text) if asked else self._language
        return Grounds(text, f"{_spaced(text)}{_spaced_prompt(prompt)}", language)

    def fault(self, text: str, grounds: Grounds) -> Fault | None:
        """The first filter that refuses the text."""
        words = UNIT.findall(normal_form(text))
        refusals = (fault for fault in Fault if fault in self._chosen and self._refuses(fault, text, words, grounds))
        return next(refusals, None)

    def _refuses(self, fault: Fault, text: str, words: list[str], grounds: Grounds) -> bool:
        match fault:
            case Fault.LENGTH:
                return bool(why_no_person(text))
            case Fault.SELF_DESCRIPTION:
                return bool(_AI.search(text))
            case Fault.PERSONAL_DATA:
                return bool(_EMAIL.search(text)) or _has_telephone_number(text)
            case Fault.LIST:
                return bool(_GROUP.match(text) or _ENUMERATED.search(text) or _NEXT_PERSON.search(text))
            case Fault.REAL_PERSON:
                return bool(real_person(text, grounds.text))
            case Fault.ECHO:
                runs = [f" {' '.join(words[at : at + _RUN])} " for at in range(len(words) - _RUN + 1)]
                return bool(runs) and sum(run in grounds.words for run in runs) >= _ECHOED * len(runs)
            case Fault.GRANULARITY:
                least, most = _WORDS[self._granularity]
                return not least <= _length(words) <= most
            case Fault.LANGUAGE:
                return bool(grounds.language) and not is_in(text, words, grounds.language)


def _spaced(text: str) -> str:
    return f" {' '.join(UNIT.findall(normal_form(text)))} "


_spaced_prompt = cache(_spaced)  # a run has two or three


def _length(words: list[str]) -> float:
    """Words, or what in scripts without spaces makes as many."""
    single = sum(len(word) == 1 and ord(word) > 0x2E80 for word in words)
    return len(words) - single + single / _PER_UNSPACED


def _has_telephone_number(text: str) -> bool:
    if not any(character.isdigit() for character in text):
        return False
    return any(sum(map(str.isdigit, found)) in _PHONE_DIGITS for found in _PHONE.findall(text))
