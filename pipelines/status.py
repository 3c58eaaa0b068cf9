"""How far a run is: read from its folder alone, so that it works beside a running job and after a killed one."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.closing import summary_table
from pipelines.failures import failure_kinds
from pipelines.run_reading import find_run


def show(run_dir: Path, console: Console) -> None:
    """Counts, spend and failures by kind. `UserError` where `run_dir` is no run."""
    run = find_run(run_dir)
    title = f"run {run.manifest.run_id} in {run_dir}: {run.state}"
    console.print(Text(title, style="bold"), soft_wrap=not console.is_terminal)
    console.print(summary_table(run.counts))
    if kinds := failure_kinds(run_dir):
        table = Table("failures", "stage", "kind", "an example", box=None, header_style="bold")
        for one in kinds:
            [(item, message, _)] = one.examples
            table.add_row(f"{one.count:,}", one.stage, one.kind, Text(" ".join(f"{item}: {message}".split())[:120]))
        console.print(table)
