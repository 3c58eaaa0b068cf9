"""What a conversion takes and gives, and the shape of a dialogue: a letter for each message, by which it is decided
whether a format can say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from actors.logic.export.json_text import offsets_of, strings

ROLES = ["system", "user", "assistant", "tool"]
_LETTERS = np.frombuffer(b"suatx", np.uint8)
_CALLS, _BOTH, _NOTHING = (ord(one) for one in "cbn")


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of CONVERSATIONS, refused candidates of theirs (rows of REJECTED_CONVERSATIONS), and whether any row of
    the whole run has tools, on which the columns hang."""

    conversations: pa.RecordBatch
    tools: bool = False
    rejected: pa.RecordBatch | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """Rows of a format, and how many were left out for which reason ("have no answer at the end")."""

    rows: pa.RecordBatch
    left_out: Counter[str] = field(default_factory=Counter)


def letters_of(messages: pa.StructArray) -> NDArray[np.uint8]:
    """A letter for each message: `s`ystem, `u`ser, `a`ssistant, `t`ool; of an assistant with tool calls `c`, with words
    beside them `b`; `n` where nothing is said, `x` for any other role. `tool_calls` need not be there."""
    roles = pc.fill_null(pc.index_in(messages.field("role"), value_set=pa.array(ROLES)), len(ROLES))
    letters = _LETTERS[roles.to_numpy()]
    speaks = pc.fill_null(pc.binary_length(messages.field("content")), 0).to_numpy() > 0
    if messages.type.get_field_index("tool_calls") >= 0:
        calls = pc.fill_null(pc.list_value_length(messages.field("tool_calls")), 0).to_numpy() > 0
        letters = np.where((letters == ord("a")) & calls, np.where(speaks, _BOTH, _CALLS), letters)
    silent = ~speaks & ((letters == ord("s")) | (letters == ord("u")) | (letters == ord("a")))
    return np.where(silent, _NOTHING, letters).astype(np.uint8)


def sift(rows: pa.RecordBatch, fault: Callable[[str], str | None]) -> tuple[pa.RecordBatch, Counter[str]]:
    """The rows in whose shape `fault` finds nothing, and of how many others it finds what."""
    lists = rows.column("messages")
    coded = strings(offsets_of(lists), letters_of(lists.flatten()).tobytes()).dictionary_encode()
    told = pa.array([fault(shape) for shape in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)
    left_out = Counter(told.drop_null().to_pylist())
    return (rows.filter(told.is_null()) if left_out else rows), left_out


def refuse(rows: pa.RecordBatch, wrong: NDArray[np.bool_], reason: str) -> tuple[pa.RecordBatch, Counter[str]]:
    """The rows that are not wrong, and how many are, for this reason."""
    left_out = Counter({reason: int(wrong.sum())} if wrong.any() else {})
    return only(rows, ~wrong), left_out


def only(rows: pa.RecordBatch, mask: NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows that the mask has; not copied where it has them all."""
    return rows if mask.all() else rows.filter(pa.array(mask))


def unanswered(shape: str) -> str | None:
    """What is wrong with a dialogue for whoever learns answers from it."""
    if "x" in shape:
        return "have a role that is none of a chat"
    if "u" not in shape:
        return "have no question"
    if not shape.endswith("a"):
        return "have no answer at the end"
    return "have an empty message" if "n" in shape else None


def mask_of(values: pa.BooleanArray) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return mask
