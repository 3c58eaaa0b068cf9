"""The dedup tool by itself: rows through the dedup service in their order, so that the first of each group stays."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayTaskError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from actors.logic.near_duplicates import Candidate, Verdict
from cluster.files import RunLock
from cluster.named import Named, as_raised
from pipelines.dedup.output import AGAINST, Output, clear, work_folder
from pipelines.dedup.rows import Rows, check_columns, kind_of, read_rows
from pipelines.sources import count_documents, find_files, plan_splits
from pipelines.sources.files import Kind, SourceFile

_IN_FLIGHT = 8  # batches that the service has been asked about: enough to keep the embedders at work
_PART_ROWS, _PART_BYTES, _PART_S = 20_000, 64 << 20, 60.0  # whichever comes first ends a part; a kill costs as much
_LINE_S = 10.0

Decided = tuple[Rows, list[Verdict | None]]


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for; `source` and `against` are files, globs, folders or URLs."""

    source: str
    target: Path
    threshold: float = 0.9
    text_field: str = "text"
    against: str | None = None
    keep_rejected: bool = False
    model: str | None = None
    address: str | None = None
    minhash: float | None = None

    def lasting(self) -> dict[str, Any]:
        """What may not change while the job lasts."""
        return {
            "INPUT": self.source,
            "--threshold": self.threshold,
            "--text-field": self.text_field,
            "--against": self.against,
            "--keep-rejected": self.keep_rejected,
            "--model": self.model,
            "--minhash": self.minhash,
        }


def dedup(job: Job, console: Console, command: str, fresh: bool = False) -> dict[str, int]:
    """Do the job, or go on with it; returns how many rows were kept, and how many refused by each stage."""
    files = find_files([job.source])
    kind = kind_of(files)
    others = find_files([job.against]) if job.against else []
    if kind is Kind.PARQUET:
        check_columns(files)
    with RunLock(work_folder(job.target), command):
        if fresh:
            clear(job.target)
        output = Output(job.target, kind, job.lasting(), job.keep_rejected, fresh)
        if not output.state.done:
            output.save()
            _work(job, files, others, output, console)
            output.finish()
    return output.state.counts


def _work(job: Job, files: list[SourceFile], others: list[SourceFile], output: Output, console: Console) -> None:
    from cluster.session import native_noise, session
    from pipelines.dedup_actors import dedup_service
    from pipelines.settings import Dedup

    total = count_documents(plan_splits([*others, *files]))
    state = output.state
    with ExitStack() as stack:
        stack.enter_context(native_noise(output.folder / "ray.log"))
        stack.enter_context(session(job.address))
        chosen = Dedup(threshold=job.threshold, minhash=job.minhash, model=job.model)
        service = stack.enter_context(dedup_service(chosen, output.folder / "log"))
        view = stack.enter_context(_View(console, total))
        view.show(state.against + state.rows)
        for rows, _ in _decide(service, read_rows(others, job.text_field, state.against), AGAINST):
            state.against += len(rows)
            view.show(state.against + state.rows)
        output.save()
        _decide_ours(read_rows(files, job.text_field, state.rows), service, output, view)


def _decide_ours(batches: Iterator[Rows], service: Named, output: Output, view: _View) -> None:
    part: list[Decided] = []
    state, rows, size, began = output.state, 0, 0, time.monotonic()
    try:
        for decided in _decide(service, batches, 0):
            part.append(decided)
            rows, size = rows + len(decided[0]), size + decided[0].nbytes
            view.show(state.against + state.rows + rows)
            if rows >= _PART_ROWS or size >= _PART_BYTES or time.monotonic() > began + _PART_S:
                output.write(part)
                part, rows, size, began = [], 0, 0, time.monotonic()
    finally:
        if part:
            output.write(part)
            view.show(state.against + state.rows)


def _decide(service: Named, batches: Iterator[Rows], offset: int) -> Iterator[Decided]:
    """The rows with a verdict for each that has a text. Those of the other set are all held against ours.

    Batches are decided one after the other, since calls to an actor may overtake one another; their vectors are made
    ahead.
    """
    handle, ahead = service.handle(), deque[tuple[Rows, list[int], list[Candidate], Any]]()

    def decided() -> Decided:
        rows, places, ask, prepared = ahead.popleft()
        _answer(prepared)
        verdicts: list[Verdict | None] = [None] * len(rows)
        if offset:
            _answer(handle.hold.remote(ask))
        else:
            for at, verdict in zip(places, _answer(handle.admit.remote(ask)), strict=True):
                verdicts[at] = verdict
        return rows, verdicts

    for rows in batches:
        places = [at for at, text in enumerate(rows.texts) if text is not None]
        ask = [Candidate(f"{offset + rows.first + at:024x}", rows.texts[at] or "") for at in places]
        ahead.append((rows, places, ask, handle.prepare.remote(ask)))
        if len(ahead) > _IN_FLIGHT:
            yield decided()
    while ahead:
        yield decided()


def _answer(asked: Any) -> Any:
    """What an actor answers; what it raises, as it raised it."""
    try:
        return ray.get(asked)
    except RayTaskError as error:
        raise as_raised(error) from None


class _View:
    """A bar on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._said = console, total, time.monotonic()
        columns = (TextColumn("dedup"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("dedup", total=total)

    def __enter__(self) -> _View:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, rows: int) -> None:
        self._bar.update(self._task, completed=rows)
        if not self._console.is_terminal and time.monotonic() > self._said + _LINE_S:
            self._said = time.monotonic()
            self._console.print(f"dedup: {rows:,} of {self._total:,} rows", highlight=False, soft_wrap=True)


def summary(counts: dict[str, int]) -> str:
    """ "1,000 rows: 900 kept, 60 exact, 40 embedding"."""
    refused = [f"{count:,} {reason}" for reason, count in sorted(counts.items()) if reason != "kept" and count]
    kept = counts.get("kept", 0)
    return f"{sum(counts.values()):,} rows: {kept:,} kept" + (f"; refused: {', '.join(refused)}" if refused else "")
