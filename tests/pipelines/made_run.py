"""A run's folder made without a run: personas with vectors, conversations, failures, counts and a history."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from actors.index.log import IndexLog
from actors.index.rows import rows_of
from actors.logic import tables
from actors.logic.near_duplicates import form_key
from actors.logic.persona import Persona, persona_id
from cluster.manifest import Lap, Manifest
from cluster.parts import write_part
from pipelines.history import COLUMNS, HISTORY

SIZE = 16
HOSTILE = (
    "<script>window.caught = 1</script><img src=x onerror='window.caught = 2'></script>"
    "<!-- <b>bold</b> & &amp; 👩🏽‍🚒 مرحبا بالعالم שלום \u2028 ${'x'} `y`"
)
_JOBS = ("nurse", "baker", "judge", "pilot", "weaver", "teacher", "miner", "clerk", "farmer", "singer")
_PLACES = ("Lisbon", "Kyoto", "Lagos", "Quito", "Oslo", "Hanoi", "Accra", "Turin", "Perth")


@dataclass(frozen=True)
class Made:
    """How much of everything. `hostile` stands in a persona and in a message of its own, `vectors` are kept."""

    documents: int = 6
    personas: int = 60
    conversations: int = 24
    failures: int = 5
    hostile: str = ""
    vectors: bool = True
    points: int = 40
    settings: dict = field(default_factory=lambda: {"seed": 0, "conversations.strategy": "persona"})


def made_run(folder: Path, made: Made | None = None) -> Path:
    """The folder, with everything that a finished run has but its journal and card."""
    made = made or Made()
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(folder / "manifest.json", "0123456789ab", made.settings)
    people = _people(made)
    if made.documents:
        _write_personas(folder, manifest, made, people)
    if people and made.vectors:
        _write_vectors(folder, people)
    _write_talks(folder, manifest, made, people)
    manifest.facts = {"growth": {"depth": 2}}
    manifest.personas.done = manifest.conversations.done = True
    manifest.laps = [Lap(made.conversations, 100, True)] if made.conversations else []
    manifest.save()
    counts = {"calls": 100, "prompt_tokens": 5000, "completion_tokens": 900, "cost_usd": 0.25, "seconds": 300.0}
    (folder / "metrics.json").write_text(json.dumps(counts | {"ending": "finished"}))
    points = [_point(at) for at in range(made.points)]
    (folder / HISTORY).write_text(json.dumps({"columns": COLUMNS, "points": points}))
    return folder


def _people(made: Made) -> list[Persona]:
    rng, people = np.random.default_rng(3), list[Persona]()
    for at in range(made.personas):
        document, depth = f"doc-{at % made.documents}", min(2, at // (2 * made.documents))
        parent = people[at - 2 * made.documents].persona_id if depth else None
        job, place = (names[rng.integers(len(names))] for names in (_JOBS, _PLACES))
        text = f"A {20 + at % 60}-year-old {job} from {place} who keeps {at} letters and hopes for rain."
        text = made.hostile if made.hostile and at == 1 else text
        key = persona_id(document, parent, text)
        people.append(Persona(key, document, parent, depth, text, "friend" if depth else "read", "m", "p", 0.0))
    return people


def _write_personas(folder: Path, manifest: Manifest, made: Made, people: list[Persona]) -> None:
    texts = [
        {"document_id": f"doc-{at}", "text": f"Letter {at}. {made.hostile}", "source": f"/corpus/letter-{at}.txt"}
        | {"characters": 40, "truncated": False, "generated": False}
        for at in range(made.documents)
    ]
    write_part(folder / "documents", "p0", pa.Table.from_pylist(texts, tables.DOCUMENTS))
    write_part(folder / "personas", "p0", tables.personas(people))
    counts = {"documents": made.documents, "active": made.documents if people else 0, "personas": len(people)}
    for depth in range(3):
        counts[f"{depth} admitted"] = sum(one.depth == depth for one in people)
        counts[f"{depth} embedding"] = 2 * depth
    manifest.personas.parts["p0"] = counts | {"rejected": 6}


def _write_vectors(folder: Path, people: list[Persona]) -> None:
    vectors = np.random.default_rng(5).standard_normal((len(people), SIZE)).astype(np.float32)
    vectors[:, 0] += [3.0 * one.depth for one in people]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    log = IndexLog(folder / "dedup", "m", SIZE)
    ids = [bytes.fromhex(one.persona_id) for one in people]
    log.append(rows_of(ids, [form_key(one.text) for one in people], vectors.astype(np.float16)))
    log.close()


def _write_talks(folder: Path, manifest: Manifest, made: Made, people: list[Persona]) -> None:
    rows = [_talk(made, people[at % len(people)], at) for at in range(made.conversations)] if people else []
    if rows:
        write_part(folder / "conversations", "0-0", tables.table(rows, tables.CONVERSATIONS))
    if made.failures:
        failed = [
            {"item_id": f"talk-{at}", "stage": "conversations", "kind": "refused" if at % 2 else "malformed"}
            | {"message": made.hostile or f"Bad request {at}.", "attempts": 3}
            for at in range(made.failures)
        ]
        write_part(folder / "failures", "0-0", pa.Table.from_pylist(failed, tables.FAILURES))
    counts = {"rows": len(rows), "failures": made.failures, "asked": len(rows) + made.failures, "attempts": len(rows)}
    manifest.conversations.parts["0-0"] = counts


def _talk(made: Made, person: Persona, at: int) -> dict:
    asked = made.hostile if made.hostile and at == 1 else f"Question {at} about ferries?"
    said = [("system", "You are helpful."), ("user", asked), ("assistant", f"Answer {at}: at nine.")]
    return {
        "conversation_id": f"talk-{at:06d}",
        "document_id": person.document_id,
        "document_ids": [person.document_id],
        "persona_id": person.persona_id,
        "persona": person.text,
        "persona_generation_depth": person.depth,
        "messages": [{"role": role, "content": text} for role, text in said],
        "task": "dialogue",
        "models": {"correspondent": "model-a", "respondent": "model-b"},
        "scores": dict.fromkeys(("groundedness", "overall"), (at % 10) / 10),
        "reasons": {"groundedness": "it is told in the letter"},
        "attempts": 1,
        "seed": 0,
    }


def _point(at: int) -> list:
    done = {"seconds": 4.0 * at, "unix_time": 1.7e9 + 4 * at, "stage": "conversations", "calls": 9 * at}
    done |= {"prompt_tokens": 90 * at, "completion_tokens": 30 * at, "cost_usd": 0.01 * at, "retries": at // 4}
    done |= {"throttled": at // 8, "personas_admitted": min(60, 5 * at), "conversations_done": at, "failures": 0}
    return [done[name] for name in COLUMNS]
