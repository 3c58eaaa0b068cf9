"""What is seen of a run while it goes on, as plain values: its stages, its pace, its money, its keys and its troubles.

It stands in `metrics.json` under `live`, so that whoever can read the folder sees what the run's own terminal shows.
Holds names of keys and no key.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

_WINDOW_S = 30.0
COUNTED = ("personas_admitted", "personas_rejected", "conversations_refused", "failures", "retries", "throttled")


@dataclass(slots=True)
class Stage:
    """A part of the run: how many of its items are done, of how many (None: nobody knows yet), after how long."""

    name: str
    done: float = 0.0
    total: int | None = None
    seconds: float = 0.0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key by its name, which says where it is kept; `state` is in use, rests or retired, `why` in a few words."""

    name: str
    state: str = "in use"
    why: str = ""


@dataclass(slots=True)
class Pace:
    """How fast the counts of a session have grown over the last half minute."""

    _points: deque[tuple[float, Counter[str], float]] = field(default_factory=deque)

    def see(self, now: float, counts: Mapping[str, float], done: float) -> None:
        """`done` are the items of the stage that goes on."""
        self._points.append((now, Counter(counts), done))
        while now - self._points[0][0] > _WINDOW_S and len(self._points) > 2:
            self._points.popleft()

    def begin(self) -> None:
        """Another stage: what was done of the last one says nothing of it."""
        self._points.clear()

    def per_second(self, name: str) -> float:
        return self._rate(lambda point: point[1][name])

    @property
    def done_per_second(self) -> float:
        return self._rate(lambda point: point[2])

    def _rate(self, of: Any) -> float:
        if len(self._points) < 2:
            return 0.0
        first, last = self._points[0], self._points[-1]
        return max(0.0, float(of(last) - of(first))) / max(0.1, last[0] - first[0])


def live_state(
    stages: Sequence[Stage],
    pace: Pace,
    session: Mapping[str, float],
    spent_usd: float | None,
    budget_usd: float | None,
    keys: Sequence[KeyState],
    notes: Mapping[str, str],
) -> dict[str, Any]:
    """`spent_usd` is over all sessions, None where a price is unknown; counts are of this session."""
    rate = pace.done_per_second
    now = next((one for one in reversed(stages) if not one.is_over), None)
    left = now.total - now.done if now and now.total else None
    return {
        "stages": [asdict(one) for one in stages],
        "calls_per_second": round(pace.per_second("calls"), 2),
        "tokens_per_second": round(pace.per_second("completion_tokens"), 1),
        "done_per_minute": round(60 * rate, 2),
        "eta_seconds": round(left / rate, 1) if left and rate else None,
        "spent_usd": None if spent_usd is None else round(spent_usd, 6),
        "budget_usd": budget_usd,
        "keys": [asdict(one) for one in keys],
        "notes": dict(notes),
        **{name: session.get(name, 0) for name in (*COUNTED, "journal_hits")},
    }


def gauges(state: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """The same as Prometheus has it, see `cluster.vocabulary`."""
    found: dict[tuple[str, str], float] = {}
    for one in state["stages"]:
        found["populace_stage_done", one["name"]] = one["done"]
        if one["total"]:
            found["populace_stage_total", one["name"]] = one["total"]
    for name in ("spent_usd", "budget_usd"):
        if state[name] is not None:
            found[f"populace_{name}", ""] = state[name]
    for how in ("in use", "rests", "retired"):
        if state["keys"]:
            found["populace_keys", how] = sum(one["state"] == how for one in state["keys"])
    return found
