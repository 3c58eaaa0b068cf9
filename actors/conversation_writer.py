"""The Ray Data stage that runs a unit of dialogues through the callers and writes its part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa

from actors.logic import tables
from actors.logic.dialogue import Conversation, Dialogue, DialogueRule, Scene
from actors.logic.growth import Failure
from cluster.caller_pool import CallerPool
from cluster.errors import Halt
from cluster.meter import Tally
from cluster.named import Named
from cluster.parts import write_part
from cluster.program import Done, Failed, Halted, Outcome

SUMMARY = pa.schema([("name", pa.string()), ("rows", pa.int64()), ("failures", pa.int64()), ("halted", pa.string())])


class ConversationWriter:
    """Takes a block of dialogues (one unit), gives back one row about the part that it wrote."""

    def __init__(self, run_dir: str, rule: DialogueRule, callers: Sequence[Named], meter: Named) -> None:
        self._run_dir, self._rule = Path(run_dir), rule
        self._callers, self._tally = CallerPool(callers), Tally(meter.handle())

    async def __call__(self, unit: pa.Table) -> AsyncIterator[pa.Table]:
        """`unit` has a column `unit` with its name, the same in every row, and one for each field of `Scene`."""
        if not len(unit):
            return
        name = unit.column("unit")[0].as_py()
        dialogues = [Dialogue(_scene(row), self._rule) for row in unit.to_pylist()]
        outcomes = await asyncio.gather(*map(self._run, dialogues))
        await self._tally.flush()
        halted = next((outcome.reason for outcome in outcomes if isinstance(outcome, Halted)), "")
        rows = failures = 0
        if not halted:
            try:
                rows, failures = await asyncio.to_thread(self._write, name, dialogues, outcomes)
            except Halt as halt:
                halted = str(halt)
        summary = {"name": name, "rows": rows, "failures": failures, "halted": halted}
        yield pa.Table.from_pylist([summary], SUMMARY)

    async def _run(self, dialogue: Dialogue) -> Outcome:
        outcome = await self._callers.run(dialogue)
        if not isinstance(outcome, Halted):
            self._tally.add(**{"conversations_done" if isinstance(outcome, Done) else "failures": 1})
        return outcome

    def _write(self, name: str, dialogues: list[Dialogue], outcomes: list[Outcome]) -> tuple[int, int]:
        pairs = list(zip(dialogues, outcomes, strict=True))
        rows = [_row(dialogue, outcome.value) for dialogue, outcome in pairs if isinstance(outcome, Done)]
        failed = [
            Failure(dialogue.item_id, "conversations", outcome.kind, outcome.message, outcome.attempts)
            for dialogue, outcome in pairs
            if isinstance(outcome, Failed)
        ]
        if failed:
            write_part(self._run_dir / "failures", name, tables.failures(failed))
        write_part(self._run_dir / "conversations", name, pa.Table.from_pylist(rows, tables.CONVERSATIONS))
        return len(rows), len(failed)


def _scene(row: dict[str, Any]) -> Scene:
    values = {field.name: row[field.name] for field in fields(Scene)}
    return Scene(**values | {"document_ids": tuple(row["document_ids"])})


def _row(dialogue: Dialogue, value: object) -> dict[str, object]:
    assert isinstance(value, Conversation)
    scene = dialogue.scene
    return {
        "conversation_id": scene.conversation_id,
        "document_id": scene.document_id,
        "document_ids": scene.document_ids,
        "persona_id": scene.persona_id or None,
        "persona": scene.persona or None,
        "persona_generation_depth": scene.persona_generation_depth if scene.persona_id else None,
        "messages": [turn.row() for turn in value.turns],
        "context_ids": value.context_ids,
        "tools": None,
        "task": dialogue.rule.name,
        "models": {
            "correspondent": value.correspondent_model or None,
            "respondent": value.respondent_model or None,
        },
        "prompt_sha": dialogue.prompt_shas(),
        "scores": None,
        "usage": asdict(value.usage),
        "seed": dialogue.rule.seed,
        "created_at": int(time.time() * 1000),
    }
