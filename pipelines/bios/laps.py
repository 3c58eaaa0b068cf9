"""Laps over people, in units that the writers turn into parts.

Who failed is asked for again with the same traits: other people in the place would bend the shares of the population
towards those whom a model likes to write about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import ray

from actors.bio_writer import BioPart
from actors.logic.bio_call import BioCall
from actors.logic.growth import Failure
from cluster.errors import Halt
from cluster.local_copies import readable
from cluster.manifest import Lap, Manifest
from cluster.parts import part_path
from pipelines.bios.people import People, Unit
from pipelines.progress import RunView
from pipelines.services import Services

_ROUNDS = 3  # of asking for the same people, in one session
_TELLING = 10  # people of whom not one was made: there is no use in asking on
_UNITS = 64
_UNIT_ROWS = (100, 500)
_IN_FLIGHT = 4  # units per writer: the slowest person of one leaves the callers busy with the others


@dataclass(frozen=True, slots=True)
class _Work:
    """A unit, asked for the `round`-th time; from the second on only who is missing."""

    unit: Unit
    round: int = 0

    @property
    def part(self) -> str:
        return f"{self.unit.name}-{self.round}" if self.round else self.unit.name


@dataclass(slots=True)
class Laps:
    """The laps of one session. Holds `_IN_FLIGHT` units for each writer, however many people are asked for."""

    folder: Path
    manifest: Manifest
    people: People
    asked: int
    writers: list[Any]
    services: Services
    view: RunView

    def run(self) -> None:
        """`Halt` when the run cannot go on, or when people of a population are missing in the end."""
        manifest, made = self.manifest, self._made
        self.view.begin("bios", "bios_done", made, self.asked)
        if (rows := self.asked - sum(lap.rows for lap in manifest.bio_laps)) > 0:
            manifest.bio_laps.append(Lap(rows, max(_UNIT_ROWS[0], min(_UNIT_ROWS[1], -(-rows // _UNITS)))))
            manifest.bios.done = False
            manifest.save()
        for _ in range(_ROUNDS):
            before, work = self._made, list(_owed(manifest))
            if not work:
                break
            self._do(work)
            for lap in manifest.bio_laps:
                lap.done = True
            if self._made == before and sum(one.unit.end - one.unit.begin for one in work) >= _TELLING:
                break
        left = sum(part["again"] for part in manifest.bios.parts.values())
        manifest.bios.done = self._made > 0 and (not left or self.people.size is not None)
        manifest.save()
        self.services.settle()
        self.view.end(self._made, self.asked)
        if not manifest.bios.done:
            raise Halt(self._undone(left))

    def _undone(self, left: int) -> str:
        made = f"{self._made:,} of {self.asked:,} bios were made"
        if not left:
            return f"{made}: no persona could be used (see failures/)"
        bent = ", and without them the population is not the one that was drawn" if self.people.size is None else ""
        return f"{made}; {left:,} people were given up in every round{bent} (see failures/); run again to try them anew"

    @property
    def _made(self) -> int:
        return self.manifest.bios.total("rows")

    def _do(self, work: list[_Work]) -> None:
        pending: dict[Any, tuple[Any, _Work]] = {}
        idle = self.writers * _IN_FLIGHT
        for one, (_, people) in zip(work, self.people.of([one.unit for one in work]), strict=True):
            if not idle:
                idle.append(self._collect(pending))
            writer = idle.pop(0)
            pending[writer.write.remote(one.part, self._missing(one, people))] = (writer, one)
        while pending:
            self._collect(pending)
        self.manifest.save()

    def _missing(self, work: _Work, people: list[BioCall | Failure]) -> list[BioCall | Failure]:
        """Who of the unit's people is in none of its earlier parts."""
        made: set[str] = set()
        for name in _earlier(work):
            made.update(
                pq.read_table(readable(part_path(self.folder / "bios", name)), columns=["bio_id"]).column(0).to_pylist()
            )
        left = [one for one in people if isinstance(one, Failure) or one.bio_id not in made]
        return [replace(one, round=work.round) if isinstance(one, BioCall) else one for one in left]

    def _collect(self, pending: dict[Any, tuple[Any, _Work]]) -> Any:
        """Record a unit that is finished; returns who did it. Its failures are then those of the whole unit."""
        [ready], _ = ray.wait(list(pending), num_returns=1)
        part: BioPart = ray.get(ready)
        if part.halted:
            raise Halt(part.halted)
        writer, work = pending.pop(ready)
        parts, counts = self.manifest.bios.parts, asdict(part)
        parts[part.name] = {name: counts[name] for name in ("rows", "failures", "again")}
        for name in _earlier(work):
            parts[name] |= {"failures": 0, "again": 0}
        self.manifest.save(now=work.round > 0)
        for name in _earlier(work):
            part_path(self.folder / "failures", name).unlink(missing_ok=True)
        self.view.raise_fault()
        return writer


def is_finished(manifest: Manifest, asked: int) -> bool:
    """Whether nobody is to be written about any more."""
    return manifest.bios.done and asked <= sum(lap.rows for lap in manifest.bio_laps)


def _owed(manifest: Manifest) -> Iterator[_Work]:
    """Units without a part, and those whose last part lacks people who may yet be made."""
    begin = 0
    for lap in manifest.bio_laps:
        for at in range(begin, begin + lap.rows, lap.unit_rows):
            work = _Work(Unit(f"people-{at:010d}", at, min(at + lap.unit_rows, begin + lap.rows)))
            again = 1
            while (part := manifest.bios.parts.get(work.part)) is not None:
                work, again = replace(work, round=work.round + 1), part["again"]
            if again:
                yield work
        begin += lap.rows


def _earlier(work: _Work) -> Iterator[str]:
    return (replace(work, round=at).part for at in range(work.round))
