"""Tells of a run while it goes on: a view on a terminal, plain lines elsewhere; and `metrics.json`, for all others.

A thread asks the meter twice a second, so that the view moves while the flow waits.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import ray
from ray.exceptions import RayError
from rich.console import Console
from rich.live import Live

from cluster.errors import Halt
from pipelines.ledger import Ledger
from pipelines.live.state import KeyState, Pace, Stage, gauges, live_state
from pipelines.live.view import LiveView, live_line

_POLL_S = 0.5
_WRITE_S = 2.0
_LINE_S = 10.0
MEASURING = "measuring"  # the stage that calls no model


class RunView:
    """`begin` a stage with what is done already; the thread adds what the meter counts. `keys` tells how the keys are,
    and may fail as Ray does."""

    def __init__(
        self,
        console: Console,
        meter: Any,
        ledger: Ledger,
        budget_usd: float | None = None,
        keys: Callable[[], Sequence[KeyState]] = tuple,
    ) -> None:
        self._console, self._meter, self._ledger = console, meter, ledger
        self._budget_usd, self._ask_keys = budget_usd, keys
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="progress", daemon=True)
        self._live = Live(console=console, auto_refresh=False, transient=False) if _draws(console) else None
        self._stages: list[Stage] = []
        self._counter, self._base, self._began = "", 0.0, time.monotonic()
        self._at_stage: Counter[str] = Counter()
        self._pace, self._keys = Pace(), list[KeyState]()
        self._notes: dict[str, str] = {}
        self._fault: Halt | None = None

    def __enter__(self) -> RunView:
        if self._live:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        self._poll()
        self._show()
        if self._live:
            self._live.stop()
        self._ledger.write_history()

    def begin(self, stage: str, counter: str, done: int, total: int | None) -> None:
        """A stage whose progress is `done` plus what the meter counts under `counter` from now on."""
        self._poll()
        if self._stages and self._stages[-1].name == stage:  # the measuring of one more thing
            self._stages.pop()
        self._counter, self._base, self._began = counter, float(done), time.monotonic()
        self._at_stage = self._ledger.session
        self._pace.begin()
        self._stages = [*self._stages, Stage(stage, float(done), total)]
        self._show()

    def end(self, done: int, total: int | None = None) -> None:
        """The stage is over, with `done` of `total` (None: that was all)."""
        self._poll()
        now = self._stages[-1]
        now.done, now.total, now.is_over = float(done), total or done, True
        now.seconds = time.monotonic() - self._began
        self._show()
        self._say()

    def spent(self) -> Counter[str]:
        """What the run has spent so far, all its sessions together, by the names of `SPENT`."""
        self._poll()
        return self._ledger.total

    def raise_fault(self) -> None:
        """Raise what the thread met (a full disk), here in the flow."""
        if self._fault:
            raise self._fault

    @property
    def state(self) -> dict[str, Any]:
        """What there is to see now."""
        usd, session = self._ledger.spent_usd, self._ledger.session
        return live_state(self._stages, self._pace, session, usd, self._budget_usd, self._keys, self._notes)

    def _loop(self) -> None:
        wrote = said = time.monotonic()
        while not self._stop.wait(_POLL_S):
            self._poll()
            self._show()
            now = time.monotonic()
            if now - wrote >= _WRITE_S:
                wrote = now
                self._poll_keys()
                self._write(history=False)
            if now - said >= _LINE_S:
                said = now
                self._say()
                self._write(history=True)

    def _write(self, history: bool) -> None:
        try:
            if history:
                self._ledger.write_history()
                return
            now = self._stages[-1] if self._stages else None
            counted = {"stage": now.name, now.name: now.done} if now else {}
            self._ledger.write(notes=self._notes, live=self.state, **counted)
        except Halt as halt:
            self._fault = halt

    def _poll(self) -> None:
        try:
            epoch, totals, self._notes = ray.get(self._meter.snapshot.remote(), timeout=5)
        except (RayError, TimeoutError):
            return
        self._ledger.take(epoch, totals)
        now, session = time.monotonic(), self._ledger.session
        if self._stages and not (stage := self._stages[-1]).is_over:
            stage.done = self._base + (session - self._at_stage)[self._counter]
            stage.seconds = now - self._began
            self._pace.see(now, session, stage.done)
        self._ledger.remember(self._stages[-1].name if self._stages else "")

    def _poll_keys(self) -> None:
        try:
            self._keys = list(self._ask_keys())
            self._meter.show.remote(gauges(self.state))
        except (RayError, TimeoutError):
            return

    def _show(self) -> None:
        if self._live:
            self._live.update(LiveView(self.state), refresh=True)

    def _say(self) -> None:
        if self._stages and not self._live:
            self._console.print(live_line(self.state), highlight=False, soft_wrap=True, markup=False)


def _draws(console: Console) -> bool:
    """Whether what is shown can be shown anew in its place: on a terminal, and in a notebook that has widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
