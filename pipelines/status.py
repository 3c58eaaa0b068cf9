"""How far a run is: read from its folder alone, so that it works beside a running job and after a killed one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.errors import UserError
from cluster.files import is_held
from cluster.manifest import Manifest, load
from pipelines.closing import metrics, summary_table
from pipelines.run import totals

_FAILURES_READ = 10_000


def show(run_dir: Path, console: Console) -> None:
    """Counts, spend and failures by kind. `UserError` where `run_dir` is no run."""
    manifest = load(run_dir / "manifest.json") if run_dir.is_dir() else None
    if manifest is None:
        raise UserError(f"{run_dir} is no run: it has no manifest.json")
    found = metrics(run_dir)
    console.print(Text(f"run {manifest.run_id} in {run_dir}: {_state(run_dir, manifest, found)}", style="bold"))
    console.print(summary_table(found | totals(manifest)))
    if kinds := _failures(run_dir):
        table = Table("failures", "stage", "kind", "an example", box=None, header_style="bold")
        for (stage, kind), (count, example) in kinds.items():
            table.add_row(f"{count:,}", stage, kind, Text(" ".join(example.split())[:120]))
        console.print(table)


def _state(run_dir: Path, manifest: Manifest, found: dict[str, Any]) -> str:
    if is_held(run_dir):
        stage = found.get("stage") or "starting"
        return f"running, {stage} {found.get(stage, 0):,.0f}"
    if manifest.conversations.done or (manifest.bios.done and not manifest.personas.parts):
        return "finished"
    if manifest.personas.done and not manifest.laps:
        return "personas finished"
    return str(found.get("ending") or "killed; run it again to go on")


def _rows(path: Path) -> list[dict[str, Any]]:
    """None where the part was put together with others meanwhile."""
    try:
        found = pq.read_table(path, columns=["stage", "kind", "message", "item_id"])
    except FileNotFoundError:
        return []
    return list(found.to_pylist())


def _failures(run_dir: Path) -> dict[tuple[str, str], tuple[int, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for path in sorted((run_dir / "failures").glob("part-*.parquet")):
        for row in _rows(path):
            kind = (row["stage"], row["kind"])
            counts[kind] += 1
            examples.setdefault(kind, f"{row['item_id']}: {row['message']}")
        if counts.total() >= _FAILURES_READ:
            break
    return {kind: (count, examples[kind]) for kind, count in counts.most_common()}
