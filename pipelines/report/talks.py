"""The conversations that a report shows: a fixed sample of them, in full."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from actors.logic.diversity.sample import FixedSample, key_of
from pipelines.report.parts import batches, chosen_parts, rows_with
from pipelines.run_reading import FoundRun

MOST = 1000  # conversations
MOST_CHARACTERS = 3_000_000  # of all of them, so that the page loads at once
_ENOUGH = 20_000  # rows to choose from
_COLUMNS = [
    *("conversation_id", "document_id", "persona_id", "persona", "persona_generation_depth", "messages", "tools"),
    *("task", "models", "scores", "reasons", "opening_coherence"),
]


@dataclass(frozen=True, slots=True)
class Talks:
    """`rows` as the page takes them, of `of` conversations in all."""

    rows: list[dict[str, Any]]
    of: int


def sampled_talks(run: FoundRun) -> Talks:
    """The same ones each time for the same conversations."""
    seed, stage = run.manifest.settings.get("seed", 0), run.manifest.conversations
    folder, parts = run.folder / "conversations", chosen_parts(stage.parts, "rows", _ENOUGH, seed)
    sample = FixedSample(MOST)
    for batch in batches(folder, parts, ["conversation_id"]):
        for one in batch.column(0).to_pylist():
            sample.see(key_of(one, seed), one, "")
    places = {one.persona_id: at for at, one in enumerate(sample.rows())}
    found = {str(row["conversation_id"]): row for row in rows_with(folder, parts, _COLUMNS, _COLUMNS[0], set(places))}
    ordered = (_told(found[one]) for one in sorted(found, key=places.__getitem__))
    return Talks(list(_within(ordered, MOST_CHARACTERS)), stage.total("rows"))


def _within(rows: Iterator[dict[str, Any]], characters: int) -> Iterator[dict[str, Any]]:
    """As many as fit, and one at least."""
    taken = 0
    for row in rows:
        size = len(row["persona"]) + sum(len(one["text"]) for one in row["messages"])
        if taken and taken + size > characters:
            return
        taken += size
        yield row


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["conversation_id"],
        "document": row["document_id"],
        "persona_id": row["persona_id"],
        "persona": row["persona"] or "",
        "depth": row["persona_generation_depth"],
        "task": row["task"],
        "messages": [_message(one) for one in row["messages"]],
        "models": {who: name for who, name in (row["models"] or {}).items() if name},
        "scores": _rounded(row["scores"]),
        "reasons": {name: why for name, why in (row["reasons"] or {}).items() if why},
        "coherence": _round(row["opening_coherence"]),
    }


def _message(message: dict[str, Any]) -> dict[str, Any]:
    calls = [f"{one['function']['name']}({one['function']['arguments']})" for one in message["tool_calls"] or ()]
    told = {"role": message["role"], "text": message["content"] or ""}
    return told | {"calls": calls} if calls else told


def _rounded(scores: dict[str, float | None] | None) -> dict[str, float] | None:
    return {name: round(one, 3) for name, one in scores.items() if one is not None} if scores else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def lengths(talks: Talks) -> dict[str, list[int]]:
    """Characters of the sampled messages by who speaks, and messages a conversation; the system message left out."""
    found: dict[str, list[int]] = {"user": [], "assistant": [], "exchanges": []}
    for row in talks.rows:
        said = [one for one in row["messages"] if one["role"] in ("user", "assistant")]
        for one in said:
            if one["text"]:
                found[one["role"]].append(len(one["text"]))
        found["exchanges"].append(sum(one["role"] == "user" for one in said))
    return found
