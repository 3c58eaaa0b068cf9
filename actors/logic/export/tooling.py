"""Messages with tool calls as JSON texts, since no two tools have arguments of the same type, and what of tools cannot
be read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from actors.logic.export.json_text import joined, json_text, offsets_of, reread
from actors.logic.export.shape import mask_of, refuse


def readable(rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Counter[str]]:
    """The rows whose `tools` are a JSON list of objects (from here on in one line), or null, and whose arguments are
    JSON objects."""
    tools = reread(rows.column("tools"), _objects)
    wrong = pc.and_(tools.is_null(), rows.column("tools").is_valid())
    rows = rows.set_column(rows.schema.get_field_index("tools"), "tools", tools)
    rows, unread = refuse(rows, mask_of(wrong), "have tools that are no JSON list of objects")
    rows, unsaid = with_arguments(rows)
    return rows, unread + unsaid


def with_arguments(rows: pa.RecordBatch) -> tuple[pa.RecordBatch, Counter[str]]:
    """The rows whose arguments are JSON objects."""
    messages = rows.column("messages")
    said = messages.flatten()
    bad = np.concatenate(([0], np.cumsum(mask_of(_arguments(said).is_null()))))
    calls = offsets_of(said.field("tool_calls"))[offsets_of(messages)]
    return refuse(rows, np.diff(bad[calls]) > 0, "have tool arguments that are no JSON object")


def template_texts(messages: pa.StructArray, rows: pa.Array) -> pa.StringArray:
    """Each message as chat templates read it: arguments are an object, and a tool's answer has the tool's `name`.
    `rows` tells which row each message is of."""
    calls = messages.field("tool_calls")
    each = calls.flatten()
    function = _struct(name=each.field("function").field("name"), arguments=_json(_arguments(messages)))
    told = _struct(id=each.field("id"), type=each.field("type"), function=function)
    lists = json_text(pa.ListArray.from_arrays(pa.array(offsets_of(calls), pa.int32()), told))
    return json_text(
        _struct(
            role=messages.field("role"),
            name=_answering(messages, rows),
            content=messages.field("content"),
            tool_calls=_json(pc.if_else(pc.greater(_count(calls), 0), lists, None)),
            tool_call_id=messages.field("tool_call_id"),
        )
    )


def call_texts(messages: pa.StructArray) -> pa.StringArray:
    """Of each message its calls alone, `{"name": …, "arguments": {…}}`, as a list where there are several."""
    calls = messages.field("tool_calls")
    name = calls.flatten().field("function").field("name")
    each = json_text(_struct(name=name, arguments=_json(_arguments(messages))))
    lists = json_text(pa.ListArray.from_arrays(pa.array(offsets_of(calls), pa.int32()), _json(each)))
    return pc.if_else(pc.equal(_count(calls), 1), pc.utf8_slice_codeunits(lists, 1, -1), lists)


def bare_functions(tools: pa.StringArray) -> pa.StringArray:
    """`[{"name": …, "parameters": {…}}, …]` of OpenAI's `[{"type": "function", "function": {…}}, …]`."""
    return reread(tools, lambda value: [one.get("function", one) for one in value])  # type: ignore[attr-defined]


def _objects(value: object) -> object | None:
    return value if isinstance(value, list) and all(isinstance(one, dict) for one in value) else None


def _arguments(messages: pa.StructArray) -> pa.StringArray:
    """Of all calls, one after the other; null where they are no object."""
    written = messages.field("tool_calls").flatten().field("function").field("arguments")
    return reread(written, lambda value: value if isinstance(value, dict) else None)


def _answering(messages: pa.StructArray, rows: pa.Array) -> pa.StringArray:
    """The name of the tool whose call a message answers, null where it answers none."""
    calls = messages.field("tool_calls")
    each = calls.flatten()
    places = pc.cast(rows, pa.string())
    called = joined(places.take(pc.list_parent_indices(calls)), "\x1f", each.field("id"))
    answered = joined(places, "\x1f", messages.field("tool_call_id"))
    return each.field("function").field("name").take(pc.index_in(answered, value_set=called, skip_nulls=True))


def _count(lists: pa.ListArray) -> pa.Array:
    return pc.fill_null(pc.list_value_length(lists), 0)


def _json(texts: pa.StringArray) -> pa.ExtensionArray:
    return pa.ExtensionArray.from_storage(pa.json_(), texts)


def _struct(**columns: pa.Array) -> pa.StructArray:
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))
