"""`populace status --watch`: a run that goes on elsewhere, as its own terminal shows it."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipelines.live.view import LiveView, live_line
from pipelines.run_reading import FoundRun, find_run

_LOOK_S, _LINE_S = 1.0, 10.0


def watch(run_dir: Path, console: Console, look_s: float = _LOOK_S) -> FoundRun:
    """Until the run ends; returns it as it is then. On no terminal a line now and then, and only when it says something
    new. `UserError` where `run_dir` is no run."""
    run = find_run(run_dir)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while run.is_running:
                live.update(_shown(run), refresh=True)
                time.sleep(look_s)
                run = find_run(run_dir)
        return run
    last, said_at = "", float("-inf")
    while run.is_running:
        line = live_line(run.live) if run.live else "starting"
        if line != last and time.monotonic() - said_at >= min(_LINE_S, 10 * look_s):
            console.print(line, highlight=False, soft_wrap=True, markup=False)
            last, said_at = line, time.monotonic()
        time.sleep(look_s)
        run = find_run(run_dir)
    return run


def _shown(run: FoundRun) -> LiveView | Text:
    title = f"run {run.manifest.run_id} in {run.folder}"
    return LiveView(run.live, title) if run.live else Text(f"{title}: starting")
