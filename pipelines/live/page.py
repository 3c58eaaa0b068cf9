"""The page of a run as it goes on: made as the report is, and then kept up to date by what the server tells it."""

from __future__ import annotations

from html import escape
from typing import Any

from pipelines.failures import failure_kinds
from pipelines.history import HISTORY, read_history
from pipelines.report.page import as_json, filled, joined, policy, source
from pipelines.report.vega import vega
from pipelines.run_reading import FoundRun

_SCRIPTS = ("dom.js", "charts.js", "time.js", "live.js")


def live_page(run: FoundRun) -> str:
    """HTML that asks `state.json` every two seconds."""
    charts, script = vega(), joined(_SCRIPTS)
    return filled(
        "live.html",
        policy=policy([charts, script], "connect-src 'self'"),
        title=escape(run.folder.absolute().name),
        css=source("report.css"),
        data=as_json(live_values(run)),
        charts=charts,
        script=script,
    )


def live_values(run: FoundRun) -> dict[str, Any]:
    """What the page shows."""
    failed = failure_kinds(run.folder)
    shown = ("documents", "personas", "rejected", "conversations", "bios", "failures", "calls", "cost_usd", "seconds")
    return {
        "run": {"id": run.manifest.run_id, "name": run.folder.absolute().name, "state": run.state},
        "is_running": run.is_running,
        "live": run.live,
        "counts": {name: run.counts.get(name) for name in (*shown, "prompt_tokens", "completion_tokens")},
        "history": read_history(run.folder / HISTORY),
        "failures": [
            {"stage": one.stage, "kind": one.kind, "count": one.count, "example": one.examples[0][1][:400]}
            for one in failed
        ],
    }
