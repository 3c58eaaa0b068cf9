"""JSON text of Arrow columns, a whole column at a time: what a loop over rows would take twenty times as long for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_ESCAPES = {byte: json.dumps(chr(byte))[1:-1].encode() for byte in (0x5C, 0x22, *range(0x20))}  # the backslash first
_GROWTH = np.zeros(256, np.int64)
for _byte, _escape in _ESCAPES.items():
    _GROWTH[_byte] = len(_escape) - 1
_LONG = _GROWTH > 1


def json_lines(rows: pa.RecordBatch) -> memoryview:
    """One JSON object a row, each with a newline at its end."""
    if not len(rows):
        return memoryview(b"")
    offsets, data = _parts(joined(*_pieces(rows.to_struct_array()), "\n"))
    return memoryview(data)[offsets[0] : offsets[-1]]


def json_text(values: pa.Array) -> pa.StringArray:
    """The JSON text of each value, null for null. Fields of a struct that are null are left out of its object, an
    array of the JSON type is taken as it is."""
    return _where_valid(values, joined(*_pieces(values)))


def _pieces(values: pa.Array) -> list[pa.Array | str]:
    """What the JSON texts of the values are put together from, row by row, so that a text is copied once at each level
    of lists. A row that is null is null in one of them, or to be made so."""
    kind = values.type
    if isinstance(kind, pa.JsonType):
        return [values.storage]
    if pa.types.is_string(kind):
        return ['"', escaped(values), '"']
    if pa.types.is_list(kind):
        return _list(values)
    if pa.types.is_struct(kind):
        return _object(values)
    return [pc.cast(values, pa.string())]


def _list(values: pa.ListArray) -> list[pa.Array | str]:
    each, offsets = values.flatten(), offsets_of(values)
    told = [pc.fill_null(json_text(each), "null")] if each.null_count else _pieces(each)
    texts = joined(*told, _separators(offsets, ","))
    return ["[", strings(_parts(texts)[0][offsets], _parts(texts)[1]), "]"]


def _object(values: pa.StructArray) -> list[pa.Array | str]:
    parts: list[pa.Array | str] = ["{"]
    begun: pa.Array | None = None  # where a field stands in the object already; None: in all of them
    for at, (field, column) in enumerate(zip(values.type, values.flatten(), strict=True)):
        name = f"{json.dumps(field.name)}:"
        mark: pa.Array | str = "" if not at else "," if begun is None else pc.if_else(begun, ",", "")
        if column.null_count:
            parts.append(pc.fill_null(joined(mark, name, json_text(column)), ""))
            begun = column.is_valid() if not at else begun if begun is None else pc.or_(begun, column.is_valid())
        else:
            parts += [mark, name, *_pieces(column)]
            begun = None
    return [*parts, "}"]


def _where_valid(values: pa.Array, texts: pa.StringArray) -> pa.StringArray:
    return pc.if_else(values.is_valid(), texts, None) if values.null_count else texts


def escaped(values: pa.StringArray) -> pa.StringArray:
    """The texts as they stand between the quotes of a JSON string."""
    offsets, data = _parts(values)
    raw = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
    places = np.flatnonzero((raw < 0x20) | (raw == 0x22) | (raw == 0x5C))
    if not len(places):
        return values
    counts, text = np.bincount(raw[places], minlength=256), raw.tobytes()
    for byte, escape in _ESCAPES.items():
        if counts[byte]:
            text = text.replace(bytes([byte]), escape)
    moved = offsets - offsets[0]
    before = np.searchsorted(places, moved)
    grown = np.concatenate(([0], np.cumsum(_GROWTH[raw[places]])))[before] if counts[_LONG].any() else before
    return _where_valid(values, strings(moved + grown, text))


def concatenated(lists: pa.ListArray, separator: str) -> pa.StringArray:
    """The texts of each list, one behind the other; empty for an empty list and for null."""
    offsets = offsets_of(lists)
    places, data = _parts(joined(lists.flatten(), _separators(offsets, separator)))
    return strings(places[offsets], data)


def _separators(offsets: NDArray[np.int64], separator: str) -> pa.Array:
    """What stands behind each value of the lists: nothing behind the last of one."""
    last = np.zeros(offsets[-1], bool)
    last[offsets[1:][np.diff(offsets) > 0] - 1] = True
    return pc.if_else(pa.array(last), "", separator)


def joined(*parts: pa.Array | str) -> pa.StringArray:
    """Texts put together row by row; null where one is."""
    return pc.binary_join_element_wise(*_fused(parts), "")


def _fused(parts: Iterable[pa.Array | str]) -> Iterator[pa.Array | str]:
    """The parts with texts that are the same in all rows put together where they are neighbours."""
    same = ""
    for part in parts:
        if isinstance(part, str):
            same += part
            continue
        yield from filter(None, [same])
        yield part
        same = ""
    yield from filter(None, [same])


def strings(offsets: NDArray[np.int64], data: bytes | pa.Buffer) -> pa.StringArray:
    """The texts between the offsets, none of them null."""
    return pa.StringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(np.ascontiguousarray(offsets, np.int32)), pa.py_buffer(data)
    )


def offsets_of(lists: pa.ListArray) -> NDArray[np.int64]:
    """Where each list begins and the last one ends in `lists.flatten()`."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def reread(texts: pa.StringArray, accept: Callable[[object], object | None]) -> pa.StringArray:
    """JSON texts written anew on one line, each through `accept`; null for what is no JSON or is not accepted."""
    coded = texts.dictionary_encode()
    return pa.array([_reread(text, accept) for text in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _reread(text: str, accept: Callable[[object], object | None]) -> str | None:
    try:
        value = accept(json.loads(text, parse_constant=_no_json))
        found = None if value is None else json.dumps(value, ensure_ascii=False)
        return found and found.encode().decode()
    except (ValueError, RecursionError):
        return None


def _no_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _parts(texts: pa.StringArray) -> tuple[NDArray[np.int64], bytes | pa.Buffer]:
    """The offsets of the texts, one more than there are, and the bytes that they point into."""
    _, offsets, data = texts.buffers()
    found = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1] if offsets else [0]
    return np.asarray(found, np.int64), data or b""
