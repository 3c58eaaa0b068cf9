"""How a run went over time: a series of at most a thousand points in `history.json`, however long the run is.

Times at work are added up over the sessions, so a night between two of them leaves no gap. When the series is full,
every second point goes and those that follow come half as often.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from cluster.files import write_atomically

HISTORY = "history.json"
COLUMNS = (
    "seconds",  # at work, over all sessions
    "unix_time",
    "stage",
    "calls",  # from here on, all are counts since the run began
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "retries",
    "throttled",
    "personas_admitted",
    "conversations_done",
    "failures",
)
COUNTED = COLUMNS[9:]
_MOST, _EVERY_S = 1000, 2.0


class History:
    """Goes on where the last session stopped. Holds no more than `most` points."""

    def __init__(self, path: Path, most: int = _MOST, every_s: float = _EVERY_S) -> None:
        self._path, self._most = path, most
        found = read_history(path)
        self._points: list[list[Any]] = [[row[name] for name in COLUMNS] for row in found]
        last = found[-1] if found else {}
        self._base = {name: float(last.get(name) or 0) for name in COUNTED}
        gaps = [b["seconds"] - a["seconds"] for a, b in pairwise(found)]
        self._every = max(every_s, sorted(gaps)[len(gaps) // 2] if gaps else 0.0)

    def see(self, seconds: float, now: float, stage: str, spent: Mapping[str, Any], session: Mapping[str, Any]) -> None:
        """A point, unless the last one is too near. `spent` counts all sessions, `session` this one."""
        if self._points and seconds - self._points[-1][0] < self._every:
            return
        counted = {name: self._base[name] + (session.get(name) or 0) for name in COUNTED}
        known = {**spent, **counted, "seconds": round(seconds, 1), "unix_time": round(now, 1), "stage": stage}
        self._points.append([known.get(name) for name in COLUMNS])
        if len(self._points) > self._most:
            self._points = self._points[:-1:2] + self._points[-1:]
            self._every *= 2

    def write(self) -> None:
        """`Halt` on a full disk."""
        write_atomically(self._path, json.dumps({"columns": COLUMNS, "points": self._points}))


def read_history(path: Path) -> list[dict[str, Any]]:
    """The points, each by the names of its columns; none where there is no such file, or no readable one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = content["columns"]
        rows = [dict(zip(names, point, strict=True)) for point in content["points"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [row for row in rows if set(COLUMNS) <= row.keys()]
