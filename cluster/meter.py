"""Counts what happens in a run: one small actor adds up what every process reports, twice a second.

Counters are plain names with units in them (`calls`, `prompt_tokens`, `cost_usd`, `personas_admitted` …).
"""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cluster.vocabulary import Place, counted

if TYPE_CHECKING:
    from cluster.exporter import Exporter

from ray.exceptions import RayActorError

REPORT_EVERY_S = 0.5


class Meter:
    """The adding actor. Its `epoch` changes when it was restarted, so that a reader keeps what it had read before.

    What it counts it tells Prometheus too, under the run's id; without one it tells nobody.
    """

    def __init__(self, run_id: str = "") -> None:
        self._exporter = _exporter(run_id) if run_id else None
        self._epoch = uuid.uuid4().hex
        self._totals: Counter[str] = Counter()
        self._notes: dict[str, str] = {}

    def add(self, counts: Mapping[str, float], notes: Mapping[str, str] | None = None) -> None:
        """Add `counts`; a note replaces the earlier one of the same name, an empty one removes it."""
        self._totals.update(counts)
        if self._exporter:
            self._exporter.count(counted(counts))
        for name, note in (notes or {}).items():
            if note:
                self._notes[name] = note
            else:
                self._notes.pop(name, None)

    def show(self, values: Mapping[Place, float]) -> None:
        """What gauges show from now on, see `cluster.vocabulary`."""
        if self._exporter:
            self._exporter.set(values)

    def snapshot(self) -> tuple[str, dict[str, float], dict[str, str]]:
        """(epoch, totals, notes)."""
        return self._epoch, dict(self._totals), dict(self._notes)


def _exporter(run_id: str) -> Exporter:
    from cluster.exporter import Exporter

    return Exporter(run_id)


class Tally:
    """One process's counts since its last report. Use from the process's event loop only."""

    def __init__(self, meter: Any | None) -> None:  # an actor handle, which Ray does not type
        self._meter = meter
        self._counts: Counter[str] = Counter()
        self._notes: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, **counts: float) -> None:
        self._counts.update(counts)
        self._report_soon()

    def note(self, name: str, text: str) -> None:
        """A state that a person should see (why nothing moves); an empty text takes it back."""
        self._notes[name] = text
        self._report_soon()

    def _report_soon(self) -> None:
        if self._meter is not None and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._report())

    async def _report(self) -> None:
        await asyncio.sleep(REPORT_EVERY_S)
        await self.flush()

    async def flush(self) -> None:
        """Send what has not been sent; the meter has counted it when this returns, unless it is lost at the moment."""
        if self._meter is not None and (self._counts or self._notes):
            counts, notes = dict(self._counts), dict(self._notes)
            self._counts.clear()
            self._notes.clear()
            try:
                await self._meter.add.remote(counts, notes)
            except RayActorError:  # it comes back with nothing, and is told this then
                self._counts.update(counts)
                self._notes = notes | self._notes
