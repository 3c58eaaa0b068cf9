"""Writes `report.html`: reads the run, puts the page together, and replaces the old one at once."""

from __future__ import annotations

from pathlib import Path

from cluster.files import write_atomically
from pipelines.report.content import content
from pipelines.report.page import page
from pipelines.run_reading import FoundRun, find_run

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """The page of the run in `folder`, as far as it is made. `UserError` where it is no run."""
    path = folder / REPORT
    write_atomically(path, report_page(find_run(folder)))
    return path


def report_page(run: FoundRun) -> str:
    """The page's HTML."""
    return page(content(run))
