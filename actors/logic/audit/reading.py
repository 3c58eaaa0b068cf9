"""What a description says of its person, attribute by attribute. What it does not say is not guessed."""

from __future__ import annotations

from dataclasses import dataclass

from actors.logic.audit import people, places, work
from actors.logic.audit.sentence import Evidence, read
from actors.logic.audit.word_sets import word_set

_ENGLISH = word_set("english")
_FOREIGN = word_set("foreign")


@dataclass(frozen=True, slots=True)
class Labels:
    """The evidence by attribute, only of attributes that something is said of. `job` is the title in lower case, empty
    where there is none; `is_english` says whether the text could be read at all."""

    of: dict[str, Evidence]
    job: str
    is_english: bool


def label(text: str) -> Labels:
    """Read in English; of a text in another language nothing is known."""
    sentence = read(text)
    if not _is_english(sentence.words):
        return Labels({}, "", is_english=False)
    job = work.occupation(sentence)
    found = {
        "age": people.age(sentence),
        "gender": people.gender(sentence),
        "region": places.region(sentence),
        "language": work.language(sentence),
        "education": work.education(sentence),
        "occupation": job[0] if job else None,
        "expertise": work.expertise(sentence),
    }
    return Labels({name: one for name, one in found.items() if one}, job[1] if job else "", is_english=True)


def _is_english(words: list[str]) -> bool:
    """By the small words, of which each language has its own."""
    ours, theirs = (sum(word in some for word in words) for some in (_ENGLISH, _FOREIGN))
    return ours > theirs
