"""`messages`, as OpenAI's chat has them, and `tools`, as TRL and the chat templates of transformers read them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors.logic.export.json_text import json_text, offsets_of
from actors.logic.export.shape import Batch, Converted, mask_of, refuse, sift, unanswered
from actors.logic.export.tooling import readable, template_texts


def messages(batch: Batch) -> Converted:
    """`messages` alone, of `role` and `content`; where the run has tools, whole messages as JSON, and `tools`."""
    rows, left_out = sift(batch.conversations, unanswered)
    if batch.tools:
        rows, unread = readable(rows)
        left_out += unread
    offsets, said = offsets_of(rows.column("messages")), rows.column("messages").flatten()
    if not batch.tools:
        return Converted(pa.record_batch({"messages": listed(offsets, plain(said))}), left_out)
    columns = {"messages": listed(offsets, as_json(json_text(said))), "tools": as_json(rows.column("tools"))}
    return Converted(pa.record_batch(columns), left_out)


def tools(batch: Batch) -> Converted:
    """`messages` with arguments as objects, and `tools` as a list of JSON schemas, of the rows that have tools."""
    rows, left_out = sift(batch.conversations, unanswered)
    rows, without = refuse(rows, mask_of(rows.column("tools").is_null()), "have no tools")
    rows, unread = readable(rows)
    columns = {
        "conversation_id": rows.column("conversation_id"),
        "messages": listed(offsets_of(rows.column("messages")), as_json(templated(rows.column("messages")))),
        "tools": as_json(rows.column("tools")),
    }
    return Converted(pa.record_batch(columns), left_out + without + unread)


def plain(messages: pa.StructArray) -> pa.StructArray:
    """The messages with `role` and `content` alone."""
    return pa.StructArray.from_arrays([messages.field("role"), messages.field("content")], names=["role", "content"])


def templated(lists: pa.ListArray) -> pa.StringArray:
    """The messages of all rows as chat templates read them, each a JSON text."""
    offsets = offsets_of(lists)
    return template_texts(lists.flatten(), pa.array(np.repeat(np.arange(len(lists)), np.diff(offsets))))


def listed(offsets: NDArray[np.int64], values: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def as_json(texts: pa.StringArray) -> pa.ExtensionArray:
    return pa.ExtensionArray.from_storage(pa.json_(), texts)
