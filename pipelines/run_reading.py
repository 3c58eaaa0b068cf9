"""What may be looked at of a run: its manifest, its counts and its state. Reads its folder alone, so that it works
beside a running job and after a killed one."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import Halt, UserError
from cluster.files import holder_of, is_held
from cluster.manifest import Manifest, load
from pipelines.closing import metrics
from pipelines.run import totals

_SILENT_S = 15.0  # a run writes every two


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run folder as it is now. `counts` are those of `metrics.json`, with the totals of the manifest over them."""

    folder: Path
    manifest: Manifest
    counts: dict[str, Any]
    is_running: bool

    @property
    def live(self) -> dict[str, Any] | None:
        """What is seen of it while it goes on (`pipelines.live.state`); None where it does not, or has just begun."""
        return self.counts.get("live") if self.is_running else None

    @property
    def state(self) -> str:
        """In a few words: running, finished, or how the last session ended."""
        talks, bios = self.manifest.conversations, self.manifest.bios
        if self.is_running:
            stages = (self.live or {}).get("stages")
            return f"running, {stages[-1]['name']} {stages[-1]['done']:,.0f}" if stages else "running, starting"
        if talks.done or (bios.done and not self.manifest.personas.parts):
            return "finished"
        if self.manifest.personas.done and not self.manifest.laps:
            return "personas finished"
        return str(self.counts.get("ending") or "killed; run it again to go on")


def find_run(run_dir: Path) -> FoundRun:
    """The run in a folder. `UserError` where it is none, or of another version."""
    try:
        manifest = load(run_dir / "manifest.json") if run_dir.is_dir() else None
    except Halt as halt:
        raise UserError(str(halt)) from None
    except OSError as error:
        raise UserError(f"{run_dir} cannot be read: {error.strerror}") from None
    if manifest is None:
        raise UserError(f"{run_dir} is no run: {_what_it_is(run_dir)}")
    counts = metrics(run_dir)
    return FoundRun(run_dir, manifest, counts | totals(manifest), _is_running(run_dir, counts))


def _is_running(run_dir: Path, counts: Mapping[str, Any]) -> bool:
    """By the lock where its holder is on this machine; elsewhere, where locks of others may not be seen, by the age of
    what it last wrote."""
    if is_held(run_dir):
        return True
    holder = holder_of(run_dir)
    if holder is None or holder.host == socket.gethostname() or "ending" in counts:
        return False
    return time.time() - float(counts.get("updated_at") or 0) < _SILENT_S


def _what_it_is(run_dir: Path) -> str:
    if not run_dir.exists():
        return "there is no such folder"
    return "it has no manifest.json" if run_dir.is_dir() else "it is a file"
