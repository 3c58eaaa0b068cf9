"""The Ray Data stage that runs a unit of dialogues through the callers and writes its part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

import pyarrow as pa

from actors.dedup_service import DedupClient
from actors.logic import tables
from actors.logic.dialogue import Conversation, Dialogue, DialogueRule, Scene
from actors.logic.growth import Failure
from actors.logic.quality import QualityRule, Quest, Selection, select
from actors.logic.quality.fit import Fit, Spoken
from actors.logic.quality.gate import OpeningGate
from actors.persona_fit import PersonaFit
from actors.talk_rows import conversation_row, counts, refused_row
from cluster.caller_pool import CallerPool
from cluster.errors import CallFailed, Halt
from cluster.meter import Tally
from cluster.named import Named, as_raised
from cluster.object_path import path_of
from cluster.parts import part_path, write_part
from cluster.program import Done, Failed, Halted, Outcome, Program, value_of
from cluster.sight import check_seen

SUMMARY = pa.schema(
    [
        ("name", pa.string()),
        ("rows", pa.int64()),
        ("failures", pa.int64()),
        ("counts", pa.map_(pa.string(), pa.int64())),
        ("halted", pa.string()),
    ]
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TalkLinks:
    """The actors that dialogues are made with. Where there are no `embedders`, nobody measures how much of a persona is
    in its messages; where there are no `openings`, nobody compares these."""

    callers: Sequence[Named]
    meter: Named
    embedders: Sequence[Named] = ()
    openings: Sequence[Named] = ()


class ConversationWriter:
    """Takes a block of dialogues (one unit), gives back one row about the part that it wrote.

    `min_coherence` is the least cosine of an opening with its persona.
    """

    def __init__(
        self,
        run_dir: str,
        rule: DialogueRule,
        quality: QualityRule,
        links: TalkLinks,
        min_coherence: float | None = None,
    ) -> None:
        self._run_dir, self._rule, self._quality = path_of(run_dir), rule, quality
        self._callers, self._tally = CallerPool(links.callers), Tally(links.meter.handle())
        self._fit = PersonaFit(links.embedders)
        admit = DedupClient(links.openings).admit if links.openings else None
        checks = admit or min_coherence is not None
        self._gate = OpeningGate(self._fit.of, min_coherence, admit) if checks else None

    async def __call__(self, unit: pa.Table) -> AsyncIterator[pa.Table]:
        """`unit` has a column `unit` with its name, the same in every row, and one for each field of `Scene`."""
        if not len(unit):
            return
        name = unit.column("unit")[0].as_py()
        dialogues = [Dialogue(_scene(row), self._rule) for row in unit.to_pylist()]
        outcomes = await asyncio.gather(*map(self._run, dialogues))
        await self._tally.flush()
        halted = next((outcome.reason for outcome in outcomes if isinstance(outcome, Halted)), "")
        summary: dict[str, object] = {"name": name, "rows": 0, "failures": 0, "counts": {}, "halted": halted}
        if not halted:
            try:
                check_seen(self._run_dir)
                summary |= await self._finish(name, dialogues, outcomes)
            except Halt as halt:
                summary["halted"] = str(as_raised(halt))
        yield pa.Table.from_pylist([summary], SUMMARY)

    async def _run(self, dialogue: Dialogue) -> Outcome:
        outcome = await (self._run_here(dialogue) if self._gate else self._callers.run(Quest(dialogue, self._quality)))
        match outcome:
            case Done(Selection(kept=None)):
                self._tally.add(conversations_refused=1)
            case Done():
                self._tally.add(conversations_done=1)
            case Failed():
                self._tally.add(failures=1)
        return outcome

    async def _run_here(self, dialogue: Dialogue) -> Outcome:
        """As a `Quest`, with openings checked on the way."""
        assert self._gate
        try:
            return Done(await select(dialogue, self._quality, self._ask, self._gate.check))
        except CallFailed as failure:
            return Failed(failure.kind, failure.message, failure.attempts)
        except Halt as halt:
            return Halted(str(as_raised(halt)))

    async def _ask(self, program: Program[T], /) -> T:
        return cast(T, value_of(await self._callers.run(program)))

    async def _finish(self, name: str, dialogues: list[Dialogue], outcomes: list[Outcome]) -> dict[str, object]:
        found = [
            (dialogue, outcome.value)
            for dialogue, outcome in zip(dialogues, outcomes, strict=True)
            if isinstance(outcome, Done) and isinstance(outcome.value, Selection)
        ]
        kept = [(dialogue, one, one.kept) for dialogue, one in found if one.kept]
        fits = await self._fit.of([Spoken(_speaker(dialogue), talk.asked) for dialogue, _, talk in kept])
        failed = [
            Failure(dialogue.item_id, "conversations", outcome.kind, outcome.message, outcome.attempts)
            for dialogue, outcome in zip(dialogues, outcomes, strict=True)
            if isinstance(outcome, Failed)
        ]
        await asyncio.to_thread(self._write, name, kept, fits, found, failed)
        told = counts([one for _, one in found])
        return {"rows": len(kept), "failures": len(failed), "counts": told | {"asked": len(dialogues)}}

    def _write(
        self,
        name: str,
        kept: Sequence[tuple[Dialogue, Selection, Conversation]],
        fits: Sequence[Fit | None],
        found: Sequence[tuple[Dialogue, Selection]],
        failed: Sequence[Failure],
    ) -> None:
        now, rubric = time.time(), self._quality.rubric
        for kind in ("failures", "rejected_conversations"):  # of an earlier try, which may have ended otherwise
            part_path(self._run_dir / kind, name).unlink(missing_ok=True)
        if failed:
            write_part(self._run_dir / "failures", name, tables.failures(failed))
        if refused := [refused_row(dialogue, no, now) for dialogue, one in found for no in one.refused]:
            rejected = tables.table(refused, tables.REJECTED_CONVERSATIONS)
            write_part(self._run_dir / "rejected_conversations", name, rejected)
        rows = [
            conversation_row(dialogue, one, talk, fit, rubric, now)
            for (dialogue, one, talk), fit in zip(kept, fits, strict=True)
        ]
        write_part(self._run_dir / "conversations", name, tables.table(rows, tables.CONVERSATIONS))


def _scene(row: dict[str, Any]) -> Scene:
    values = {field.name: row[field.name] for field in fields(Scene)}
    return Scene(**values | {"document_ids": tuple(row["document_ids"])})


def _speaker(dialogue: Dialogue) -> str:
    """The persona whose words the user's messages are; empty where they are nobody's in particular."""
    return dialogue.scene.persona if dialogue.rule.speaks_as_persona else ""
