"""One record: the document that it makes, or in words what is wrong with it. Knows no file and no format."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from actors.logic.document import BadDocument, Document, DocumentKind, document, given_persona
from cluster.errors import FailureKind

MAX_RECORD = 64 << 20  # bytes of one line or one text file; a longer one is refused, not held


@dataclass(frozen=True, slots=True)
class Wanted:
    text_field: str
    id_field: str | None
    max_characters: int
    kind: DocumentKind = DocumentKind.TEXT
    refuse_generated: bool = False


class Unreadable(Exception):
    """What is wrong with one record, in words; its reader knows where it stood."""

    def at(self, source: str) -> BadDocument:
        return BadDocument(source, FailureKind.UNREADABLE, str(self))


def as_document(record: Mapping[str, object], source: str, wanted: Wanted) -> Document | BadDocument:
    if wanted.text_field not in record:
        raise Unreadable(no_field(wanted.text_field, record))
    text = record[wanted.text_field]
    if text is None:
        return BadDocument(source, FailureKind.EMPTY_DOCUMENT, f"field {wanted.text_field!r} is null")
    if not isinstance(text, str):
        raise Unreadable(no_text(wanted.text_field, held_by(text)))
    return made_of(text, _given_id(record, wanted.id_field), source, wanted)


def made_of(text: str, given: str | None, source: str, wanted: Wanted) -> Document | BadDocument:
    if wanted.kind is DocumentKind.PERSONA:
        return given_persona(text, given, source)
    return document(text, given, source, wanted.max_characters)


def _given_id(record: Mapping[str, object], id_field: str | None) -> str | None:
    if id_field is None:
        return None
    if id_field not in record:
        raise Unreadable(no_field(id_field, record))
    given = record[id_field]
    if given is None or isinstance(given, (bool, list, dict, UnicodeDecodeError)) or not str(given).strip():
        raise Unreadable(f"field {id_field!r} holds {held_by(given) or 'a blank text'}, which is no id")
    return str(given)


_OWN = tuple(
    map(
        frozenset,
        (
            ["persona_id", "persona_generation_depth"],  # conversations
            ["persona_id", "parent_id", "relation"],  # personas, admitted or rejected
            ["bio_id", "traits_said"],
            ["messages", "persona"],
        ),
    )
)


def is_own(fields: Collection[str]) -> bool:
    """Whether a record with these fields is one that populace wrote."""
    return any(own.issubset(fields) for own in _OWN)


def fault_of(columns: Mapping[str, str], wanted: Wanted) -> str:
    for name in (wanted.text_field, wanted.id_field):
        if name is not None and name not in columns:
            return no_field(name, columns)
    held = columns[wanted.text_field]
    return no_text(wanted.text_field, held) if held else ""


def no_field(name: str, fields: Iterable[str]) -> str:
    names = [repr(field) for field in itertools.islice(fields, 20)]
    return f"no field {name!r}; the fields are {', '.join(names)}" if names else f"no field {name!r}, nor any other"


def no_text(name: str, held: str) -> str:
    return f"field {name!r} holds {held}, not text"


_JSON_NAMES = {
    str: "",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def held_by(value: object) -> str:
    """What a value is, in the words of JSON; "" for text."""
    if isinstance(value, UnicodeDecodeError):
        return f"what is not UTF-8: {bad_byte(value)}"
    return _JSON_NAMES.get(type(value), type(value).__name__)


def decoded(data: bytes) -> str:
    """UTF-8, or UTF-16 that begins with its mark."""
    if len(data) > MAX_RECORD:
        raise Unreadable(f"the file is larger than {MAX_RECORD >> 20} MiB; put its documents into a .jsonl")
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        name = "UTF-16" if marked else "UTF-8"
        raise Unreadable(f"not {name}: {bad_byte(error)}; convert the file") from error


def bad_byte(error: UnicodeDecodeError) -> str:
    return f"byte 0x{error.object[error.start]:02x} at {error.start}"
