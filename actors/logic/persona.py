"""What a persona is: its record, its id, its normal form, and how a model's answer is read as personas."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import json_repair


class Granularity(StrEnum):
    """How much a persona says about its person."""

    COARSE = "coarse"
    MEDIUM = "medium"
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class Persona:
    """One person found in a document or given as one (depth 0), or found through a relationship with `parent_id`.

    One that was given has neither a model nor a prompt: both are empty.
    """

    persona_id: str
    document_id: str
    parent_id: str | None
    depth: int
    text: str
    relation: str
    model: str
    prompt_sha: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused persona, with the stage that refused it, the neighbour it was too close to and the score (cosine)."""

    persona: Persona
    reason: str
    neighbour_id: str | None
    score: float | None


def persona_id(document_id: str, parent_id: str | None, text: str) -> str:
    """24 hex digits of the persona's content: the same answer for the same parent has the same id in every run."""
    content = "\x1f".join((document_id, parent_id or "", text))
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def normalise_space(text: str) -> str:
    """The text on one line, single-spaced, as it is written to the dataset."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normal_form(text: str) -> str:
    """What two texts are compared by when they are called exact duplicates: NFKC, case, punctuation, spaces folded.

    Marks stay: in the scripts of India and Southeast Asia they are vowels. What joins letters unseen is left out.
    """
    if text.isascii():
        return " ".join(text.lower().translate(_ASCII).split())
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(map(_folded, folded)).split())


@cache
def _folded(character: str) -> str:
    category = unicodedata.category(character)
    return character if category[0] in "LMN" else "" if category == "Cf" else " "


_ASCII = {code: _folded(chr(code)) for code in range(128)}


_BULLET, _LABEL = r"(?:[-*•–]|\(?\d{1,3}[.):])\s+", r"\**persona\s*\d*\**\s*[:.)-]\s*\**"
_LIST_MARK = re.compile(rf"^\s*(?:{_BULLET}(?:{_LABEL})?|{_LABEL})", re.IGNORECASE)
_NUMBERED = re.compile(r"^[\W_]*(persona|person)?[\W_]*\d+[\W_]*$", re.IGNORECASE)
_JSON = re.compile(r"[\[{]\s*[\[{\"']|\{\s*\w+\s*:")
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_MIN_WORDS, _MIN_UNSPACED = 3, 6  # words, or characters of a script that does without spaces
_MAX_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Found:
    """A person as a model named them; `relation` is empty where the answer does not say."""

    text: str
    relation: str


def read_personas(answer: str) -> list[Found]:
    """Personas in a model's answer: JSON (also broken or fenced), or a Markdown list of one person a line.

    Whitespace is normalised; exact duplicates and empty ones are dropped. Prose without a list holds none.
    """
    kept: dict[str, Found] = {}
    for found in _from_json(answer) or _from_lines(answer):
        text = normalise_space(found.text)
        if form := normal_form(text):
            kept.setdefault(form, Found(text, normalise_space(found.relation)[:80]))
    return list(kept.values())


def why_no_person(text: str) -> str:
    """Why a text on one line is too long or too short to describe a person; empty where it may be one."""
    if len(text) > _MAX_CHARACTERS:
        return f"longer than a persona, which has {_MAX_CHARACTERS:,} characters at most"
    if len(normal_form(text).split()) >= _MIN_WORDS or len(UNSPACED.findall(text)) >= _MIN_UNSPACED:
        return ""
    return f"shorter than a persona, which has {_MIN_WORDS} words at least"


def _from_json(answer: str) -> list[Found]:
    """The people of every JSON value in the answer; from the first broken one on, of what can be made of the rest."""
    found: list[Found] = []
    start = _JSON.search(answer)
    while start:
        try:
            value, end = json.JSONDecoder().raw_decode(answer, start.start())
        except ValueError:
            return found + list(_people(json_repair.loads(answer[start.start() :])))
        found += _people(value)
        start = _JSON.search(answer, end)
    return found


def _people(value: object) -> Iterable[Found]:
    if isinstance(value, str):
        yield Found(value, "")
    elif isinstance(value, list):
        for item in value:
            yield from _people(item)
    elif isinstance(value, dict):
        described = any(isinstance(value.get(name), str) for name in _DESCRIPTIONS)
        nested = [item for item in value.values() if isinstance(item, (list, dict)) and not described]
        if nested or (len(value) > 1 and all(_NUMBERED.match(str(name)) for name in value)):
            for item in nested or value.values():
                yield from _people(item)
        else:
            yield _person({str(name): str(item) for name, item in value.items() if item not in (None, "")})


_DESCRIPTIONS = ("persona", "description")


def _person(fields: dict[str, str]) -> Found:
    """An object with one field for the description, or with several that make it up ("age", "job", "place")."""
    relation = fields.pop("relation", "")
    text = fields.get("persona") or fields.get("description") or ", ".join(fields.values())
    return Found(text, relation)


def _from_lines(answer: str) -> list[Found]:
    marks = ((line, _LIST_MARK.match(line)) for line in answer.splitlines())
    return [Found(line[mark.end() :].replace("**", ""), "") for line, mark in marks if mark]
