"""What the sessions of a run have spent, added up, and how it went over time: `metrics.json` and `history.json`."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cluster.files import write_atomically
from pipelines.history import HISTORY, History

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
    def spent_usd(self) -> float | None:
        """USD spent in all sessions; None where a price is unknown."""
        return float(self._before["cost_usd"] + self.session["cost_usd"]) if self._priced else None

    @property
    def session(self) -> Counter[str]:
        """Counts of this session."""
        total: Counter[str] = Counter()
        for counts in list(self._epochs.values()):
            total.update(counts)
        return total

    @property
    def total(self) -> Counter[str]:
        """Counts of all sessions."""
        return self._before + self.session

    def write(self, **facts: object) -> dict[str, Any]:
        """Write `metrics.json`; returns what was written. `cost_usd` is null where a price is unknown."""
        spent = self.total
        content: dict[str, Any] = {name: spent[name] for name in SPENT}
        content["cost_usd"] = round(spent["cost_usd"], 6) if self._priced else None
        content["seconds"] = round(self._before["seconds"] + time.monotonic() - self._began, 1)
        content |= {"updated_at": round(time.time(), 1), **facts}
        write_atomically(self._path, json.dumps(content, indent=1))
        return content

    def remember(self, stage: str) -> None:
        """A point of the series of how the run goes over time, unless the last one is too near."""
        spent = self.total
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
