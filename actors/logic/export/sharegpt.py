"""`sharegpt`: turns of `from` and `value`, tool calls and their results as the `function_call` and `observation` turns
of LLaMA-Factory."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.logic.export.json_text import concatenated, joined, json_text, offsets_of, reread
from actors.logic.export.shape import Batch, Converted, letters_of, sift, unanswered
from actors.logic.export.tooling import bare_functions, call_texts, readable

_SPEAKERS = pa.array(["system", "human", "gpt", "function_call", "observation"])
_PLACES = np.zeros(256, np.int64)
_PLACES[list(b"suact")] = range(5)


def sharegpt(batch: Batch) -> Converted:
    """`id` and `conversations`; where the run has tools, also `tools`, a string of JSON, empty where a row has none."""
    rows, left_out = sift(batch.conversations, _fault)
    if batch.tools:
        rows, unread = readable(rows)
        left_out += unread
    columns = {"id": rows.column("conversation_id"), "conversations": _turns(rows.column("messages"), batch.tools)}
    if batch.tools:
        columns["tools"] = pc.fill_null(bare_functions(rows.column("tools")), "")
    return Converted(pa.record_batch(columns), left_out)


def _fault(shape: str) -> str | None:
    if fault := unanswered(shape):
        return fault
    if "b" in shape:
        return "have words beside a tool call, which sharegpt cannot say"
    return None if re.fullmatch("s?(u(ct+)*a)+", shape) else "are not in turns, as sharegpt wants them"


def _turns(lists: pa.ListArray, tools: bool) -> pa.ListArray:
    said, offsets = lists.flatten(), offsets_of(lists)
    letters, values = letters_of(said), said.field("content")
    speakers = _SPEAKERS.take(pa.array(_PLACES[letters]))
    if tools:
        values = pc.if_else(pa.array(letters == ord("c")), call_texts(said), values)
        speakers, values, offsets = _merged(speakers, values, offsets, letters == ord("t"))
    turns = pa.StructArray.from_arrays([speakers, values], names=["from", "value"])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), turns)


def _merged(
    speakers: pa.Array, values: pa.Array, offsets: NDArray[np.int64], results: NDArray[np.bool_]
) -> tuple[pa.Array, pa.Array, NDArray[np.int64]]:
    """Results that follow one another as one turn, a JSON list, since turns of the two sides have to alternate."""
    begins = np.flatnonzero(~(results & np.concatenate(([False], results[:-1]))))
    sizes = np.diff(np.append(begins, len(results)))
    if (sizes == 1).all():
        return speakers, values, offsets
    several = pa.array(np.repeat(sizes > 1, sizes))
    told = pc.if_else(several, values, None)
    texts = pc.coalesce(reread(told, lambda value: value), json_text(told), values)
    groups = pa.ListArray.from_arrays(pa.array(np.append(begins, len(results)), pa.int32()), texts)
    turns = concatenated(groups, ",")
    values = pc.if_else(pa.array(sizes > 1), joined("[", turns, "]"), turns)
    return speakers.take(pa.array(begins)), values, np.searchsorted(begins, offsets)
