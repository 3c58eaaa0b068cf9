"""A few documents all the way through, in a folder that is gone afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from pipelines.batching import unbatched
from pipelines.closing import dialogue_lines, summary_table
from pipelines.closing import metrics as read_metrics
from pipelines.run import run
from pipelines.settings import Audit, Settings

_PERSONAS_SHOWN = 5


@contextmanager
def trial(settings: Settings, documents: int, conversations: int, console: Console) -> Iterator[Path]:
    """The folder of a finished run over the first `documents` documents; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="populace-preview-") as folder:
        small = settings.model_copy(
            update={
                "run_dir": folder,
                "documents": settings.documents.model_copy(update={"limit": documents}),
                "conversations": settings.conversations.model_copy(update={"count": conversations}),
            }
        )
        run(unbatched(small), console, "populace preview")
        yield Path(folder)


def show(settings: Settings, console: Console, documents: int) -> None:
    """Each document with its personas and one dialogue, then what it cost."""
    unaudited = settings.model_copy(update={"audit": Audit()})
    with trial(unaudited, documents, documents, console) as folder:
        personas = _rows(folder / "personas")
        sources = {row["document_id"]: row["source"] for row in _rows(folder / "documents")}
        for row in _rows(folder / "conversations"):
            mine = [one for one in personas if one["document_id"] == row["document_id"]]
            names = [Text(f"depth {one['depth']}  {one['text']}", style="dim") for one in mine[:_PERSONAS_SHOWN]]
            more = [Text(f"… and {len(mine) - _PERSONAS_SHOWN} more", style="dim")] * (len(mine) > _PERSONAS_SHOWN)
            title = Text(Path(sources[row["document_id"]]).name)
            console.print(Panel(Group(*names, *more, Text(), *dialogue_lines(row)), title=title))
        console.print(summary_table(read_metrics(folder)))


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(path).to_pylist()]
