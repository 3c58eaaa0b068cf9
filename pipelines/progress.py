"""What a person sees while a run goes on: two bars on a terminal, plain lines elsewhere; and `metrics.json`.

A thread asks the meter twice a second, so that the view moves while the flow waits.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from cluster.errors import Halt
from cluster.files import write_atomically
from pipelines.history import HISTORY, History

_POLL_S = 0.5
_WRITE_S = 2.0
_LINE_S = 10.0
MEASURING = "measuring"  # the stage that calls no model
SPENT = ("calls", "prompt_tokens", "completion_tokens", "cost_usd", "retries", "throttled", "journal_hits")


class Ledger:
    """What the sessions of a run have spent, from `metrics.json` and the meter of this session."""

    def __init__(self, path: Path, priced: bool) -> None:
        self._path, self._priced = path, priced
        before = _read(path)
        self._before = Counter({name: before.get(name) or 0 for name in (*SPENT, "seconds")})
        self._epochs: dict[str, dict[str, float]] = {}
        self._began = time.monotonic()
        self._history = History(path.with_name(HISTORY))

    def take(self, epoch: str, totals: dict[str, float]) -> None:
        self._epochs[epoch] = totals

    @property
    def spent_before(self) -> float:
        """USD that the sessions before this one have spent, where the prices were known."""
        return float(self._before["cost_usd"])

    @property
    def session(self) -> Counter[str]:
        """Counts of this session."""
        total: Counter[str] = Counter()
        for counts in self._epochs.values():
            total.update(counts)
        return total

    def write(self, **facts: object) -> dict[str, Any]:
        """Write `metrics.json`; returns what was written. `cost_usd` is null where a price is unknown."""
        spent = self._before + self.session
        content: dict[str, Any] = {name: spent[name] for name in SPENT}
        content["cost_usd"] = round(spent["cost_usd"], 6) if self._priced else None
        content["seconds"] = round(self._before["seconds"] + time.monotonic() - self._began, 1)
        content |= {"updated_at": round(time.time(), 1), **facts}
        write_atomically(self._path, json.dumps(content, indent=1))
        return content

    def remember(self, stage: str) -> None:
        """A point of the series of how the run goes over time, unless the last one is too near."""
        spent = self._before + self.session
        seconds = self._before["seconds"] + time.monotonic() - self._began
        self._history.see(seconds, time.time(), stage, {name: spent[name] for name in SPENT}, self.session)

    def write_history(self) -> None:
        self._history.write()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class _Status(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("status", "")), style="dim")


class RunView:
    """The bars. `begin` a stage with what is done already; the thread adds what the meter counts."""

    def __init__(self, console: Console, meter: Any, ledger: Ledger) -> None:
        self._console, self._meter, self._ledger = console, meter, ledger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="progress", daemon=True)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<13}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[done_text]}"),
            TimeElapsedColumn(),
            _Status(),
            console=console,
            disable=not console.is_terminal,
        )
        self._stage = ""
        self._task: Any = None
        self._counter, self._base = "", 0.0
        self._total: int | None = None
        self._at_stage: Counter[str] = Counter()
        self._stage_began = time.monotonic()
        self._notes: dict[str, str] = {}
        self._fault: Halt | None = None

    def __enter__(self) -> RunView:
        self._bars.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        self._poll()
        self._ledger.remember(self._stage)
        self._refresh()
        self._bars.stop()
        self._ledger.write_history()

    def begin(self, stage: str, counter: str, done: int, total: int | None) -> None:
        """A stage whose progress is `done` plus what the meter counts under `counter` from now on."""
        self._poll()
        self._stage, self._counter, self._base, self._total = stage, counter, float(done), total
        self._at_stage, self._stage_began = self._ledger.session, time.monotonic()
        self._task = self._bars.add_task(stage, total=total, completed=done, done_text="", status="")
        self._refresh()

    def end(self, done: int, total: int | None = None) -> None:
        """The stage is over, with `done` of `total` (None: that was all)."""
        self._poll()
        self._base, self._counter, self._total = float(done), "", total or done
        self._refresh()
        self._say()

    def raise_fault(self) -> None:
        """Raise what the thread met (a full disk), here in the flow."""
        if self._fault:
            raise self._fault

    def _loop(self) -> None:
        wrote = said = time.monotonic()
        while not self._stop.wait(_POLL_S):
            self._poll()
            self._refresh()
            now = time.monotonic()
            if now - wrote >= _WRITE_S:
                wrote = now
                self._write()
            if now - said >= _LINE_S:
                said = now
                self._say()
                self._write_history()

    def _write_history(self) -> None:
        try:
            self._ledger.write_history()
        except Halt as halt:
            self._fault = halt

    def _write(self) -> None:
        try:
            self._ledger.write(
                stage=self._stage, notes=self._notes, **{self._stage: self._done()} if self._stage else {}
            )
        except Halt as halt:
            self._fault = halt

    def _poll(self) -> None:
        try:
            epoch, totals, self._notes = ray.get(self._meter.snapshot.remote(), timeout=5)
        except (RayError, TimeoutError):
            return
        self._ledger.take(epoch, totals)
        self._ledger.remember(self._stage)

    def _done(self) -> float:
        return self._base + (self._ledger.session - self._at_stage)[self._counter]

    def _refresh(self) -> None:
        if self._task is None:
            return
        total = f"/{self._total:,}" if self._total else ""
        self._bars.update(
            self._task,
            completed=self._done(),
            total=self._total,
            done_text=f"{self._done():,.0f}{total}",
            status=self._status(),
        )

    def _status(self) -> str:
        spent = self._ledger.session - self._at_stage
        seconds = max(0.1, time.monotonic() - self._stage_began)
        parts = []
        if self._stage == "personas":
            parts.append(f"{spent['personas_admitted']:,.0f} personas, {spent['personas_rejected']:,.0f} refused")
        if self._stage != MEASURING:
            parts.append(f"{spent['calls'] / seconds:,.1f} calls/s")
            parts.append(f"{spent['completion_tokens'] / seconds:,.0f} tokens/s")
        if spent["cost_usd"]:
            parts.append(f"${spent['cost_usd']:,.2f}")
        if spent["journal_hits"]:
            parts.append(f"{spent['journal_hits']:,.0f} answers from the journal")
        if spent["conversations_refused"]:
            parts.append(f"{spent['conversations_refused']:,.0f} refused")
        if spent["failures"]:
            parts.append(f"{spent['failures']:,.0f} failed")
        if spent["throttled"]:
            parts.append(f"{spent['throttled']:,.0f} × 429")
        return " · ".join([*parts, *(f"{name}: {note}" for name, note in self._notes.items())])

    def _say(self) -> None:
        if self._task is not None and not self._console.is_terminal:
            total = f" of {self._total:,}" if self._total else ""
            self._console.print(
                f"{self._stage}: {self._done():,.0f}{total} · {self._status()}", highlight=False, soft_wrap=True
            )
