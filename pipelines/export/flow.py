"""An export: the parts of a run through one conversion into the files of its splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa
from rich.console import Console
from rich.progress import track

from actors.logic.export import FORMATS, NOWHERE, SPLITS, Batch, Format, assigned, assigned_all
from pipelines.export.card import card
from pipelines.export.job import Job
from pipelines.export.output import Output
from pipelines.export.push import push, token
from pipelines.export.reading import ROWS, batches, find

_ALONE = ROWS // 2  # rows from which on a piece is converted by itself: putting pieces together copies them


@dataclass(slots=True)
class Exported:
    """How many rows went into which split, and how many were left out for which reason."""

    rows: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    finished: bool = True

    def summary(self) -> str:
        """ "exported 990 of 1,000: 10 left out (8 have tool calls, which alpaca cannot say; 2 have no question)"."""
        done, out = self.rows.total(), self.left_out.total()
        said = f"exported {done:,} of {done + out:,}"
        if out:
            said += f": {out:,} left out ({'; '.join(f'{n:,} {reason}' for reason, n in self.left_out.most_common())})"
        if len(self.rows) > 1:
            said += f"; {', '.join(f'{split} {self.rows[split]:,}' for split in SPLITS if self.rows[split])}"
        return said


def show(job: Job, console: Console) -> None:
    """Export, push where that is asked for, and say what came of it."""
    if job.repository:
        token()
    exported = export(job, console)
    lines = [exported.summary(), str(job.target)]
    if not exported.finished:
        lines.append(f"{job.run_dir} is not finished; export it again for the rest")
    if job.repository and exported.rows:
        lines.append(push(job, console.is_terminal))
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def export(job: Job, console: Console) -> Exported:
    """Write the files. `UserError` where the run or the target cannot be used, `Halt` where the disk is full."""
    source = find(job.run_dir, candidates=job.format is Format.DPO, tools=job.format is Format.TOOLS)
    exported = Exported(finished=source.manifest.conversations.done or "stopped" in source.manifest.facts)
    with Output(job, source.manifest.run_id) as output:
        parts = track(
            batches(source),
            f"{job.format}",
            sum(-(-source.manifest.conversations.parts[name]["rows"] // ROWS) for name in source.parts),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        for split, batch in _gathered(
            piece for part in parts for piece in _divided(part, job.shares, source.seed, exported)
        ):
            converted = FORMATS[job.format](batch)
            exported.left_out += converted.left_out
            if len(converted.rows):
                output.write(split, converted.rows)
                exported.rows[split] += len(converted.rows)
        output.finish("" if job.is_file else card(job, source.manifest, exported.rows))
    return exported


def _divided(batch: Batch, shares: tuple[float, ...], seed: int, exported: Exported) -> Iterator[tuple[str, Batch]]:
    """The rows of each split, those of a document all in one; what is about documents of several is left out."""
    if 1 in shares:
        yield SPLITS[shares.index(1)], batch
        return
    places = assigned_all(batch.conversations.column("document_ids"), shares, seed)
    if torn := int((places == NOWHERE).sum()):
        exported.left_out["are about documents of several splits"] += torn
    refused = None if batch.rejected is None else assigned(batch.rejected.column("document_id"), shares, seed)
    for at, split in enumerate(SPLITS[: len(shares)]):
        rejected = None if batch.rejected is None else batch.rejected.filter(pa.array(refused == at))
        yield split, Batch(batch.conversations.filter(pa.array(places == at)), batch.tools, rejected)


def _gathered(pieces: Iterable[tuple[str, Batch]]) -> Iterator[tuple[str, Batch]]:
    """The pieces of each split put together to batches of a size that is worth a conversion."""
    held: dict[str, list[Batch]] = {}
    for split, piece in pieces:
        if len(piece.conversations) >= _ALONE:
            yield split, piece
            continue
        ours = held.setdefault(split, [])
        ours.append(piece)
        if sum(len(one.conversations) for one in ours) >= ROWS:
            yield split, _together(held.pop(split))
    for split, ours in held.items():
        yield split, _together(ours)


def _together(batches: list[Batch]) -> Batch:
    rejected = [one.rejected for one in batches if one.rejected is not None]
    return Batch(
        pa.concat_batches([one.conversations for one in batches]),
        batches[0].tools,
        pa.concat_batches(rejected) if rejected else None,
    )
