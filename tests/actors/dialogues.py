"""Rows of conversations and of refused candidates, by hand, and runs that consist of them."""

import json
from pathlib import Path

import pyarrow as pa

from actors.logic import tables
from cluster.manifest import Manifest
from cluster.parts import write_part

WEATHER = {"name": "weather", "description": "of a place", "parameters": {"type": "object", "properties": {}}}
TOOLS = json.dumps([{"type": "function", "function": WEATHER}], indent=1)


def said(role: str, content: str | None = None, calls: list | None = None, to: str | None = None) -> dict:
    return {"role": role, "content": content, "tool_calls": calls, "tool_call_id": to}


def call(identifier: str, **arguments: object) -> dict:
    function = {"name": "weather", "arguments": json.dumps(arguments, indent=1)}
    return {"id": identifier, "type": "function", "function": function}


def talk(*texts: str) -> list[dict]:
    """A system message, then user and assistant in turns."""
    roles = ["system", *["user", "assistant"] * len(texts)]
    return [said(role, text) for role, text in zip(roles, texts, strict=False)]


def tooled(answer: str = "3 and 4.") -> list[dict]:
    return [
        said("user", "How warm?"),
        said("assistant", None, [call("c1", place="Rome"), call("c2", place="“Köln”\n")]),
        said("tool", '{"t": 3}', to="c1"),
        said("tool", "about\n4", to="c2"),
        said("assistant", answer),
    ]


def row(identifier: str, messages: list[dict], tools: str | None = None, score: float | None = None, **more) -> dict:
    given = {"conversation_id": identifier, "document_id": f"d-{identifier}", "messages": messages, "tools": tools}
    given |= {"scores": score and {"overall": score}} | more
    return {"document_ids": [given["document_id"]]} | given


def conversations(rows: list[dict]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, tables.CONVERSATIONS)


def refused(rows: list[dict]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, tables.REJECTED_CONVERSATIONS)


def write_run(folder: Path, parts: list[list[dict]], candidates: list[list[dict]] = (), run_id: str = "run") -> Path:
    """A run of these parts, with those candidates in the parts of the same place."""
    manifest = Manifest(folder / "manifest.json", run_id, {"seed": 3})
    for number, rows in enumerate(parts):
        write_part(folder / "conversations", f"p{number}", pa.Table.from_batches([conversations(rows)]))
        manifest.conversations.parts[f"p{number}"] = {"rows": len(rows), "failures": 0}
    for number, rows in enumerate(candidates):
        write_part(folder / "rejected_conversations", f"p{number}", pa.Table.from_batches([refused(rows)]))
    manifest.save()
    return folder
