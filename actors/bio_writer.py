"""The actor that has people written through the callers, and writes their parts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from actors.logic import tables
from actors.logic.bio_call import BioCall, Biography
from actors.logic.growth import Failure
from cluster.caller_pool import CallerPool
from cluster.errors import Halt
from cluster.meter import Tally
from cluster.named import Named
from cluster.object_path import path_of
from cluster.parts import write_part
from cluster.program import Done, Failed, Halted, Outcome, Program


@dataclass(frozen=True, slots=True)
class BioPart:
    """What a unit of people became; the manifest's entry. `again` are the failures that another try may mend. `halted`
    is set where nothing was written."""

    name: str
    rows: int = 0
    failures: int = 0
    again: int = 0
    halted: str = ""


class BioWriter:
    """Runs units of people, each into a part of its own."""

    def __init__(self, run_dir: str, callers: Sequence[Named], meter: Named) -> None:
        self._run_dir = path_of(run_dir)
        self._callers, self._tally = CallerPool(callers), Tally(meter.handle())

    async def ask(self, program: Program[object]) -> Outcome:
        """The outcome of one program."""
        return await self._callers.run(program)

    async def write(self, name: str, people: Sequence[BioCall | Failure]) -> BioPart:
        """Write the part `name`, or write it again. Who could not be read is a failure from the start."""
        calls = [one for one in people if isinstance(one, BioCall)]
        failed = [one for one in people if isinstance(one, Failure)]
        outcomes = await asyncio.gather(*map(self._run, calls))
        await self._tally.flush()
        if halted := next((one.reason for one in outcomes if isinstance(one, Halted)), ""):
            return BioPart(name, halted=halted)
        try:
            return await asyncio.to_thread(self._write, name, list(zip(calls, outcomes, strict=True)), failed)
        except Halt as halt:
            return BioPart(name, halted=str(halt))

    async def _run(self, call: BioCall) -> Outcome:
        outcome = await self._callers.run(call)
        if not isinstance(outcome, Halted):
            self._tally.add(**{"bios_done" if isinstance(outcome, Done) else "failures": 1})
        return outcome

    def _write(self, name: str, pairs: list[tuple[BioCall, Outcome]], failed: list[Failure]) -> BioPart:
        rows = [_row(call, outcome.value) for call, outcome in pairs if isinstance(outcome, Done)]
        failed += [
            Failure(call.bio_id, "bios", outcome.kind, outcome.message, outcome.attempts)
            for call, outcome in pairs
            if isinstance(outcome, Failed)
        ]
        if failed:
            write_part(self._run_dir / "failures", name, tables.failures(failed))
        write_part(self._run_dir / "bios", name, pa.Table.from_pylist(rows, tables.BIOS))
        return BioPart(name, len(rows), len(failed), len(pairs) - len(rows))


def _row(call: BioCall, value: object) -> dict[str, object]:
    assert isinstance(value, Biography)
    return {
        "bio_id": call.bio_id,
        "persona_id": call.persona_id,
        "kind": str(call.rule.kind),
        "text": value.text,
        "traits": json.dumps(value.traits, ensure_ascii=False),
        "traits_said": value.said,
        "model": value.model,
        "prompt_sha": value.prompt_sha,
        "seed": call.rule.seed,
        "created_at": int(time.time() * 1000),
    }
