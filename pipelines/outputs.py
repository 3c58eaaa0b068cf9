"""What is written about a run when it ends, and again by `populace report`: the dataset card and the report."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from cluster.errors import Halt, UserError
from cluster.files import is_held
from cluster.manifest import Manifest, load
from pipelines.bios.card import write_card as write_bios_card
from pipelines.card import write_card
from pipelines.report import REPORT, write_report
from pipelines.run_reading import find_run
from pipelines.settings import Settings, settings_of

log = logging.getLogger(__name__)


@contextmanager
def written_at_the_end(settings: Settings, console: Console) -> Iterator[None]:
    """When the block ends, also with a `Halt`, both are written of what there is by then."""
    try:
        yield
    except Halt:
        with suppress(Halt, UserError):  # what ended the run is told instead
            _write_what_there_is(settings, console)
        raise
    _write_what_there_is(settings, console)


def _write_what_there_is(settings: Settings, console: Console) -> None:
    if (manifest := load(settings.folder / "manifest.json")) and not is_held(settings.folder):
        write_outputs(settings, manifest, console)


def write_outputs(settings: Settings, manifest: Manifest, console: Console) -> None:
    """`README.md` and `report.html` of what there is. A report that cannot be made is told of and costs nothing else;
    `Halt` on a full disk."""
    _write_card(settings, manifest)
    try:
        write_report(settings.folder)
    except Halt:
        raise
    except Exception as error:  # the boundary: a page is no reason to lose a run
        log.exception("the report of %s could not be made", settings.folder)
        reason = " ".join(str(error).split())[:200]
        console.print(Text.assemble(("warning", "yellow"), f" {REPORT} could not be made: {reason}"), soft_wrap=True)


def write_again(run_dir: Path, console: Console) -> None:
    """Both anew, from the run's folder alone. `UserError` where it is no run."""
    run = find_run(run_dir)
    told = [write_report(run_dir)]
    try:
        settings = settings_of(run.manifest.facts.get("config"), run_dir)
    except (ValidationError, UserError):
        console.print(f"README.md stays as it is: {run_dir} does not say its whole config", soft_wrap=True)
    else:
        told.append(_write_card(settings, run.manifest))
    for path in told:
        console.print(str(path), highlight=False, soft_wrap=True)


def _write_card(settings: Settings, manifest: Manifest) -> Path:
    return write_bios_card(settings, manifest) if settings.bios else write_card(settings, manifest)
