"""The columns of every Parquet output, and records turned into tables of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from actors.logic.document import encodable
from actors.logic.growth import Failure
from actors.logic.persona import Persona, Rejection

_TIME = pa.timestamp("ms", tz="UTC")

DOCUMENTS = pa.schema(
    [
        ("document_id", pa.string()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("characters", pa.int64()),
        ("truncated", pa.bool_()),
        ("generated", pa.bool_()),
    ]
)

PERSONAS = pa.schema(
    [
        ("persona_id", pa.string()),
        ("document_id", pa.string()),
        ("parent_id", pa.string()),
        ("depth", pa.int32()),
        ("text", pa.string()),
        ("relation", pa.string()),
        ("traits", pa.string()),
        ("model", pa.string()),
        ("prompt_sha", pa.string()),
        ("created_at", _TIME),
    ]
)

REJECTED = pa.schema([*PERSONAS, ("reason", pa.string()), ("neighbour_id", pa.string()), ("score", pa.float32())])

FAILURES = pa.schema(
    [
        ("item_id", pa.string()),
        ("stage", pa.string()),
        ("kind", pa.string()),
        ("message", pa.string()),
        ("attempts", pa.int32()),
    ]
)

_TOOL_CALL = pa.struct(
    [
        ("id", pa.string()),
        ("type", pa.string()),
        ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
    ]
)
_MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("tool_calls", pa.list_(_TOOL_CALL)),
        ("tool_call_id", pa.string()),
    ]
)
_CRITERIA = ["groundedness", "persona_consistency", "helpfulness", "coherence"]
_SCORES = pa.struct([(name, pa.float32()) for name in (*_CRITERIA, "overall")])
_REASONS = pa.struct([(name, pa.string()) for name in _CRITERIA])
_SPEAKERS = ["correspondent", "respondent", "judge"]

CONVERSATIONS = pa.schema(
    [
        ("conversation_id", pa.string()),
        ("document_id", pa.string()),
        ("document_ids", pa.list_(pa.string())),
        ("persona_id", pa.string()),
        ("persona", pa.string()),
        ("persona_generation_depth", pa.int32()),
        ("messages", pa.list_(_MESSAGE)),
        ("context_ids", pa.list_(pa.list_(pa.string()))),
        ("tools", pa.string()),
        ("task", pa.string()),
        ("models", pa.struct([(name, pa.string()) for name in _SPEAKERS])),
        ("prompt_sha", pa.struct([(name, pa.string()) for name in _SPEAKERS])),
        ("scores", _SCORES),
        ("reasons", _REASONS),
        ("attempts", pa.int32()),
        ("opening_coherence", pa.float32()),
        ("consistency", pa.list_(pa.float32())),
        (
            "usage",
            pa.struct(
                [
                    ("calls", pa.int32()),
                    ("prompt_tokens", pa.int64()),
                    ("completion_tokens", pa.int64()),
                    ("cost_usd", pa.float64()),
                ]
            ),
        ),
        ("seed", pa.int64()),
        ("created_at", _TIME),
    ]
)

REJECTED_CONVERSATIONS = pa.schema(  # each in the part of the name that has the conversation which was accepted instead
    [
        ("conversation_id", pa.string()),
        ("document_id", pa.string()),
        ("persona_id", pa.string()),
        ("messages", pa.list_(_MESSAGE)),
        ("task", pa.string()),
        ("scores", _SCORES),
        ("reason", pa.string()),
        ("attempt", pa.int32()),
        ("created_at", _TIME),
        ("reasons", _REASONS),
        ("neighbour_id", pa.string()),
        ("score", pa.float32()),
    ]
)

BIOS = pa.schema(
    [
        ("bio_id", pa.string()),
        ("persona_id", pa.string()),
        ("kind", pa.string()),
        ("text", pa.string()),
        ("traits", pa.string()),
        ("traits_said", pa.float32()),
        ("model", pa.string()),
        ("prompt_sha", pa.string()),
        ("seed", pa.int64()),
        ("created_at", _TIME),
    ]
)


def table(rows: Sequence[Mapping[str, object]], schema: pa.Schema) -> pa.Table:
    """The rows under these columns; half a surrogate pair, which a model may write, becomes U+FFFD."""
    try:
        return pa.Table.from_pylist(rows, schema)
    except UnicodeEncodeError:
        return pa.Table.from_pylist([_encodable(row) for row in rows], schema)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {name: _encodable(one) for name, one in value.items()}
    return [_encodable(one) for one in value] if isinstance(value, (list, tuple)) else value


def persona_row(persona: Persona) -> dict[str, object]:
    """A row of PERSONAS."""
    return asdict(persona) | {"traits": None, "created_at": int(persona.created_at * 1000)}


def personas(rows: Sequence[Persona]) -> pa.Table:
    return pa.Table.from_pylist([persona_row(row) for row in rows], PERSONAS)


def rejected(rows: Sequence[Rejection]) -> pa.Table:
    """Refused personas beside what refused them."""
    return pa.Table.from_pylist(
        [
            persona_row(row.persona) | {"reason": row.reason, "neighbour_id": row.neighbour_id, "score": row.score}
            for row in rows
        ],
        REJECTED,
    )


def failures(rows: Sequence[Failure]) -> pa.Table:
    return table([asdict(row) for row in rows], FAILURES)
