"""How far a run is: read from its folder alone, so that it works beside a running job and after a killed one."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.closing import summary_table
from pipelines.failures import Kind, failure_kinds
from pipelines.run_reading import find_run

_WIDE = 72  # columns, for a table


def show(run_dir: Path, console: Console) -> None:
    """Counts, spend and failures by kind. `UserError` where `run_dir` is no run."""
    run = find_run(run_dir)
    title = f"run {run.manifest.run_id} in {run_dir}: {run.state}"
    console.print(Text(title, style="bold"), soft_wrap=not console.is_terminal)
    console.print(summary_table(run.counts))
    if kinds := failure_kinds(run_dir):
        console.print(_table(kinds) if console.width >= _WIDE else _lines(kinds))


def _table(kinds: list[Kind]) -> Table:
    table = Table("failures", "stage", "kind", "an example", box=None, header_style="bold")
    for one in kinds:
        table.add_row(f"{one.count:,}", one.stage, one.kind, Text(_example(one)))
    return table


def _lines(kinds: list[Kind]) -> Text:
    lines = (Text.assemble((f"{one.count:,} {one.kind} in {one.stage} ", "bold"), _example(one)) for one in kinds)
    return Text("\n").join(lines)


def _example(kind: Kind) -> str:
    item, message, _ = kind.examples[0]
    return " ".join(f"{item}: {message}".split())[:120]
