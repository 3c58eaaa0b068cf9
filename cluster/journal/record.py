"""One line of a journal: how an answer becomes one, and what a line that was read is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from json.encoder import encode_basestring as quoted
from zlib import crc32

KEY_BYTES = 16
_HEAD = b'{"v":1,"key":"'
KEY = slice(len(_HEAD), len(_HEAD) + 2 * KEY_BYTES)
_AT = KEY.stop + len(b'","at":')
_CRC = b',"crc":"%08x"}\n'
_CRC_BYTES = len(_CRC % 0)
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_canonical = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode


def call_key(request: Mapping[str, object], item: str) -> bytes:
    """16 bytes that name one call: the request in canonical JSON and the item it is for, whatever the keys' order."""
    return blake2b(f"{_canonical(request)}\n{item}".encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """One paid answer."""

    key: bytes
    at: float
    item: str
    answer: dict[str, object]


def line_of(key: bytes, at: float, item: str, answer: Mapping[str, object]) -> bytes:
    """The line of one answer, its end included."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, got {len(key)}")
    text = _compact(answer)
    try:
        body = _body(key, at, item, text)
    except UnicodeEncodeError:  # half a surrogate pair; as its JSON escape it comes back the same and pyarrow reads it
        body = _body(key, at, _escaped(item), _escaped(text))
    return body + _CRC % crc32(body)


def _body(key: bytes, at: float, item: str, text: str) -> bytes:
    return f'{{"v":1,"key":"{key.hex()}","at":{at:.3f},"item":{quoted(item)},"answer":{quoted(text)}'.encode()


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def is_sound(line: bytes) -> bool:
    """Whether a line, with its end, is a whole record of this version."""
    body = line[:-_CRC_BYTES]
    return body.startswith(_HEAD) and line[-_CRC_BYTES:] == _CRC % crc32(body)


def time_of(line: bytes) -> float:
    """When a sound line was written, in Unix seconds by the clock of that time."""
    return float(line[_AT : line.index(b",", _AT)])


def record_of(line: bytes) -> Record:
    """What a sound line says."""
    fields = json.loads(line)
    return Record(bytes.fromhex(fields["key"]), fields["at"], fields["item"], json.loads(fields["answer"]))
