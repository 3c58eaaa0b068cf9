"""`dpo`: accepted dialogues beside refused candidates of theirs, in TRL's conversational preference format."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.logic.export.chat import as_json, listed, plain, templated
from actors.logic.export.json_text import json_text, offsets_of
from actors.logic.export.shape import Batch, Converted, letters_of, mask_of, only, refuse, sift, unanswered
from actors.logic.export.tooling import readable, with_arguments


def dpo(batch: Batch) -> Converted:
    """A pair for each refused candidate: `prompt` up to the last user message that both share, then `chosen` and
    `rejected`, and what the judge gave each, `score_chosen` and `score_rejected`. Where the run has tools, messages are
    JSON as chat templates read it, and `tools` is there."""
    chosen, left_out = sift(batch.conversations, unanswered)
    candidates = batch.rejected
    assert candidates is not None
    alone = ~mask_of(_among(chosen, candidates))
    chosen, without = refuse(chosen, alone, "have no refused candidate")
    rejected, orphaned = refuse(candidates, ~mask_of(_among(candidates, chosen)), "are candidates of no accepted one")
    rejected, unfit = sift(rejected, unanswered)
    if batch.tools:
        chosen, unread = readable(chosen)
        rejected, unsaid = with_arguments(rejected)
        left_out, unfit = left_out + unread, unfit + unsaid
    left_out += without + orphaned + Counter({f"are candidates that {fault}": n for fault, n in unfit.items()})
    return _paired(chosen, rejected, batch.tools, left_out)


def _among(rows: pa.RecordBatch, others: pa.RecordBatch) -> pa.BooleanArray:
    return pc.is_in(rows.column("conversation_id"), value_set=others.column("conversation_id"))


def _paired(chosen: pa.RecordBatch, rejected: pa.RecordBatch, tools: bool, left_out: Counter[str]) -> Converted:
    places = pc.index_in(rejected.column("conversation_id"), value_set=chosen.column("conversation_id"))
    rejected = only(rejected, mask_of(places.is_valid()))  # the others' accepted conversations could not be read
    if not places.equals(pa.array(range(len(chosen)), places.type)):
        chosen = chosen.take(places.drop_null())
    prompts, same = _prompts(chosen.column("messages"), rejected.column("messages"), tools)
    wrong = {"share no question with their candidate": prompts == 0, "are as their candidate": (prompts > 0) & same}
    left_out += Counter({reason: int(mask.sum()) for reason, mask in wrong.items() if mask.any()})
    fine = (prompts > 0) & ~same
    chosen, rejected, prompts = only(chosen, fine), only(rejected, fine), prompts[fine]
    ours, theirs = chosen.column("messages"), rejected.column("messages")
    columns = {
        "conversation_id": chosen.column("conversation_id"),
        "prompt": _part(ours, np.zeros_like(prompts), prompts, tools),
        "chosen": _part(ours, prompts, np.diff(offsets_of(ours)), tools),
        "rejected": _part(theirs, prompts, np.diff(offsets_of(theirs)), tools),
        "score_chosen": pc.struct_field(chosen.column("scores"), "overall"),
        "score_rejected": pc.struct_field(rejected.column("scores"), "overall"),
    }
    return Converted(pa.record_batch(columns | ({"tools": as_json(chosen.column("tools"))} if tools else {})), left_out)


def _prompts(chosen: pa.ListArray, rejected: pa.ListArray, tools: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Of each pair, up to and with which message the prompt goes (0: no question is shared), and whether the two do not
    differ at all."""
    ours, theirs = offsets_of(chosen), offsets_of(rejected)
    lengths = np.minimum(np.diff(ours), np.diff(theirs))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    left, right = ours[rows] + within, theirs[rows] + within
    equal = np.ones(len(rows), bool)
    for mine, other in zip(_told(chosen, tools), _told(rejected, tools), strict=True):
        equal &= mask_of(pc.equal(_at(mine, left), _at(other, right)))
    shared = lengths.copy()
    differing, at = np.unique(rows[~equal], return_index=True)
    shared[differing] = within[~equal][at]
    asks = letters_of(chosen.flatten())[left] == ord("u")
    asked = np.flatnonzero(asks & (within < shared[rows]))
    prompts = np.zeros(len(lengths), np.int64)
    np.maximum.at(prompts, rows[asked], within[asked] + 1)
    return prompts, (shared == np.diff(ours)) & (shared == np.diff(theirs))


def _at(texts: pa.StringArray, places: NDArray[np.int64]) -> pa.StringArray:
    """The texts at these places, which are in order; not copied where these are all of them."""
    return texts if len(places) == len(texts) else texts.take(pa.array(places))


def _told(lists: pa.ListArray, tools: bool) -> list[pa.StringArray]:
    """What is equal in equal messages: their roles and contents, or, with tools, all of them as JSON."""
    said = lists.flatten()
    return [json_text(said)] if tools else [said.field("role"), pc.fill_null(said.field("content"), "")]


def _part(lists: pa.ListArray, begins: NDArray[np.int64], ends: NDArray[np.int64], tools: bool) -> pa.ListArray:
    """The messages from `begins` up to `ends` of each row."""
    lengths, offsets = ends - begins, offsets_of(lists)
    places = np.arange(lengths.sum()) + np.repeat(offsets[:-1] + begins - np.cumsum(lengths) + lengths, lengths)
    values = templated(lists) if tools else plain(lists.flatten())
    found = values.take(pa.array(places))
    return listed(np.concatenate(([0], np.cumsum(lengths))), as_json(found) if tools else found)
