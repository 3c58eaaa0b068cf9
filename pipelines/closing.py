"""What a person sees when a run ends: what was made, a persona, a dialogue, and where the files are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console, Group
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from actors.logic.document import DocumentKind
from actors.logic.filters import Fault
from actors.logic.growth import NOBODY
from actors.logic.near_duplicates import ADMITTED, WANTED, Reason
from cluster.local_copies import readable
from pipelines.audit_section import audit_lines
from pipelines.quality_section import quality_lines

_SHOWN = 600
_STYLES = {"user": "cyan", "tool": "yellow"}


def first_row(folder: Path, columns: list[str] | None = None) -> dict[str, Any] | None:
    """The first row of the first part in `folder` that has one, or None."""
    for path in sorted(folder.glob("part-*.parquet")):
        with pq.ParquetFile(readable(path)) as file:
            for batch in file.iter_batches(batch_size=1, columns=columns):
                return dict(batch.to_pylist()[0])
    return None


def metrics(folder: Path) -> dict[str, Any]:
    """`metrics.json` of a run, empty where there is none yet."""
    try:
        content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def show(console: Console, folder: Path, run_dir: str) -> None:
    """The closing summary of a finished run."""
    counts = metrics(folder)
    console.print(summary_table(counts))
    if row := first_row(folder / "bios", ["kind", "text"]):
        console.print(Panel(Text(_cut(row["text"])), title=f"a {row['kind']}", title_align="left", border_style="dim"))
    if persona := first_row(folder / "personas"):
        console.print(Panel(Text(_cut(persona["text"])), title="a persona", title_align="left", border_style="dim"))
    if row := first_row(folder / "conversations", ["persona", "messages"]):
        console.print(Panel(Group(*dialogue_lines(row)), title="a dialogue", title_align="left", border_style="dim"))
    files = Table.grid(padding=(0, 2))
    for name, what in (
        ("conversations/", "the dataset: load_dataset('parquet', data_files='…/conversations/*.parquet')"),
        ("personas/", "every persona, with its document, parent and depth"),
        ("bios/", "every person of the simulation, with traits, text and model"),
        ("rejected/", "personas refused, with the neighbour and the score"),
        ("rejected_conversations/", "candidates and dialogues refused, with scores and reasons"),
        ("failures/", "what was given up, and why"),
        ("README.md", "the dataset card"),
        ("report.html", "the report: a page to open in a browser"),
    ):
        if (folder / name).exists():
            files.add_row(Text(f"{run_dir}/{name}"), Text(what, style="dim"))
    console.print(Padding(files, (0, 0, 0, 1)))


def summary_table(counts: dict[str, Any]) -> Table:
    """Counts, tokens, cost and time in two columns."""
    table = Table.grid(padding=(0, 2))
    for label, value in _figures(counts):
        table.add_row(Text(label, style="bold"), Text(value))
    return table


def _figures(counts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    def number(name: str) -> str:
        return f"{counts.get(name) or 0:,.0f}"

    if counts.get("bios"):
        yield "bios", number("bios")
    if counts.get("documents") or not counts.get("bios"):
        what = "personas given" if counts.get("documents_kind") == DocumentKind.PERSONA else "documents"
        yield what, number("documents") + _notes(counts, "unreadable", "repeated", "truncated", "generated")
        depth = counts.get("depth")
        if depth != NOBODY:
            refused = f"{number('rejected')} refused{_stages(counts)}{_shortfall(counts)}"
            yield "personas", f"{number('personas')} (depth {depth}), {refused}"
        if near := ((counts.get("diversity") or {}).get("run") or {}).get("nearest"):
            yield "diversity", f"nearest neighbour at a cosine of {near['median']:.2f} on median, {share_near(near)}"
        yield from audit_lines(counts.get("audit"))
        yield "conversations", number("conversations")
        yield from quality_lines(counts.get("quality"))
    yield "failures", number("failures")
    yield "model calls", f"{number('calls')}, {number('prompt_tokens')} + {number('completion_tokens')} tokens"
    cost = counts.get("cost_usd")
    yield "cost", "unknown (no price in the config)" if cost is None else f"${cost:,.4f}"
    yield "time", f"{counts.get('seconds') or 0:,.0f} s"


def share_near(nearest: dict[str, Any]) -> str:
    """ "3 % at .8 or more"."""
    return f"{nearest['share_from_0_8']:.1%} at .8 or more".replace("%", " %")


def _notes(counts: dict[str, Any], *names: str) -> str:
    found = [f"{counts[f'documents_{name}']:,} {name}" for name in names if counts.get(f"documents_{name}")]
    return f" ({', '.join(found)})" if found else ""


def dialogue_lines(row: dict[str, Any]) -> Iterator[Text]:
    """The persona and the messages of a row, its system message left out."""
    if row.get("persona"):
        yield Text(_cut(row["persona"]), style="italic dim")
    for message in row["messages"]:
        if message["role"] != "system":
            style = _STYLES.get(message["role"], "green")
            yield Text.assemble((f"{message['role']:>9} ", f"bold {style}"), _cut(said(message)))


def said(message: dict[str, Any]) -> str:
    """What a message of a row says, its calls of tools included."""
    calls = [f"{one['function']['name']}({one['function']['arguments']})" for one in message.get("tool_calls") or ()]
    return " ".join(filter(None, [message["content"], *calls]))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _shortfall(counts: dict[str, Any]) -> str:
    """ "; fewer than were asked for: 2,318 of 2,500 at depth 1"; empty where nobody is missing."""
    short = [row for row in counts.get("funnel") or [] if row[ADMITTED] < row.get(WANTED, 0)]
    told = ", ".join(f"{row[ADMITTED]:,} of {row[WANTED]:,} at depth {row['depth']}" for row in short)
    return f"; fewer than were asked for: {told}" if told else ""


def _stages(counts: dict[str, Any]) -> str:
    """ " (12 exact, 30 embedding)", over all depths."""
    funnel = counts.get("funnel") or []
    by_stage = {str(reason): sum(row.get(reason, 0) for row in funnel) for reason in (*Fault, *Reason)}
    found = [f"{count:,} {stage}" for stage, count in by_stage.items() if count]
    return f" ({', '.join(found)})" if found else ""
