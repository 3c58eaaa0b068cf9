"""What a document is: its record, its id, its owner's number, and how a long one is cut.

Knows no file and no format; `source` is a name that it carries along.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from actors.logic.persona import normalise_space, why_no_person
from cluster.errors import FailureKind


class DocumentKind(StrEnum):
    """What the documents of a run are: texts to find people in, or the people themselves."""

    TEXT = "text"
    PERSONA = "persona"


@dataclass(frozen=True, slots=True)
class Document:
    """One text to find people in, or one persona. `characters` is its length before it was cut if `truncated`;
    `generated` says that it is known to have been written by a model."""

    document_id: str
    text: str
    source: str
    characters: int
    truncated: bool
    generated: bool = False


@dataclass(frozen=True, slots=True)
class BadDocument:
    """A document that could not be read, or the rest of a file that could not. It has no id but its source."""

    source: str
    kind: FailureKind
    message: str


def document(text: str, given: str | None, source: str, max_characters: int) -> Document | BadDocument:
    """The document that `text` makes under the id `given` by its owner, if any; a blank text makes none."""
    whole = normalise(text)
    if not whole:
        return BadDocument(source, FailureKind.EMPTY_DOCUMENT, "the document is empty")
    kept, truncated = cut(whole, max_characters)
    return Document(document_id(whole, given), kept, source, len(whole), truncated)


_LONGEST_LINE = 100_000  # characters, space included; what is longer is no persona


def given_persona(text: str, given: str | None, source: str) -> Document | BadDocument:
    """As `document`, of a persona: on one line and never cut; what cannot be one makes none."""
    whole = normalise(text)
    line = normalise_space(whole) if len(whole) <= _LONGEST_LINE else whole
    if not line:
        return BadDocument(source, FailureKind.EMPTY_DOCUMENT, "the persona is empty")
    if fault := why_no_person(line):
        return BadDocument(source, FailureKind.NO_PERSONA, fault)
    return Document(document_id(line, given), line, source, len(line), truncated=False)


def document_id(text: str, given: str | None = None) -> str:
    """The id that was given, else 24 hex digits of the whole text: the same text has the same id in every file."""
    if given is not None:
        return encodable(given)
    return hashlib.sha256(unicodedata.normalize("NFC", normalise(text)).encode()).hexdigest()[:24]


def digest(document_id: str) -> int:
    """64 bits that say who owns a document, the same on every machine and in every run."""
    return int.from_bytes(hashlib.blake2b(document_id.encode(), digest_size=8).digest(), "big")


def normalise(text: str) -> str:
    """The text without NULs, lone surrogates and space around it, its lines ended by \\n."""
    plain = encodable(text).replace("\0", "")
    if "\r" in plain:
        plain = plain.replace("\r\n", "\n").replace("\r", "\n")
    return plain.strip()


def encodable(text: str) -> str:
    """The text with U+FFFD for half a surrogate pair, which JSON can hold, and no UTF-8 file and no Arrow column."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


_BOUNDS = (
    re.compile(r"(?=\n[^\S\n]*\n)"),  # before a blank line
    re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*|[।؟۔]+(?=\s)"),  # after a sentence
    re.compile(r"(?<=\S)(?=\s)"),  # after a word
)


def cut(text: str, max_characters: int) -> tuple[str, bool]:
    """The normalised text, at most `max_characters` of it, and whether that is less than all.

    It ends with a paragraph, else with a sentence, else with a word; a bound that would give away more than half of
    what is allowed is passed over for the next finer one.
    """
    whole = normalise(text)
    if len(whole) <= max_characters:
        return whole, False
    window = whole[: max_characters + 2]  # the bounds look at what comes after them
    for bound in _BOUNDS:
        ends = [match.end() for match in bound.finditer(window, max_characters // 2) if match.end() <= max_characters]
        if ends:
            return window[: ends[-1]].rstrip(), True
    return window[:max_characters].rstrip(), True
