"""`alpaca`, with the `system` and `history` that LLaMA-Factory reads: an instruction and its answer, what was said
before them, and no tools."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.logic.export.json_text import offsets_of
from actors.logic.export.shape import Batch, Converted, mask_of, sift, unanswered


def alpaca(batch: Batch) -> Converted:
    """The last question is the `instruction`, its answer the `output`; `input` is empty; `history` has the pairs."""
    rows, left_out = sift(batch.conversations, _fault)
    lists = rows.column("messages")
    said = lists.flatten()
    texts, offsets = said.field("content"), offsets_of(lists)
    first, question = offsets[:-1], offsets[1:] - 2
    led = pc.equal(said.field("role").take(pa.array(first)), "system")
    columns = {
        "conversation_id": rows.column("conversation_id"),
        "instruction": texts.take(pa.array(question)),
        "input": pa.repeat("", len(rows)),
        "output": texts.take(pa.array(question + 1)),
        "system": pc.if_else(led, texts.take(pa.array(first)), ""),
        "history": _pairs(texts, offsets, first + mask_of(led), question),
    }
    return Converted(pa.record_batch(columns), left_out)


def _pairs(
    texts: pa.StringArray, offsets: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> pa.ListArray:
    """Of each row the texts from `begins` up to `ends`, two and two."""
    lengths, places = np.diff(offsets), np.arange(len(texts))
    told = texts.filter(pa.array((places >= np.repeat(begins, lengths)) & (places < np.repeat(ends, lengths))))
    pairs = pa.ListArray.from_arrays(pa.array(np.arange(0, len(told) + 1, 2), pa.int32()), told)
    counts = np.concatenate(([0], np.cumsum((ends - begins) // 2)))
    return pa.ListArray.from_arrays(pa.array(counts, pa.int32()), pairs)


def _fault(shape: str) -> str | None:
    if set(shape) & set("bct"):
        return "have tool calls, which alpaca cannot say"
    if (fault := unanswered(shape)) or re.fullmatch("s?(ua)+", shape):
        return fault
    return "are not question and answer in turns, which is all that alpaca can say"
