"""What an export writes: a file for each split, whole or not at all, in a folder that says which files are ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from actors.logic.export import SPLITS, json_lines
from cluster.errors import UserError
from cluster.files import atomic_path, lock_at, write_atomically
from pipelines.export.job import FileKind, Job

CARD = "README.md"
_OURS = {*(f"{split}.{kind}" for split in SPLITS for kind in FileKind), CARD}
_ROW_GROUP = 16 << 20  # bytes


class Output:
    """The files of a job, for the time of a `with`; they are renamed into place by `finish`, and gone without it.

    `UserError` where something that no export of this run has written would have to be replaced, or where another
    export is at work.
    """

    def __init__(self, job: Job, run_id: str) -> None:
        self._job, self._run_id = job, run_id
        self._folder = job.target.parent if job.is_file else job.target
        self._mark = self._folder / (f".{job.target.name}.export.json" if job.is_file else "export.json")
        self._lock = lock_at(self._mark.with_name(f".{self._mark.name.removeprefix('.').removesuffix('.json')}.lock"))
        self._writers: dict[str, Writer] = {}
        self._stack = ExitStack()
        self._former: set[str] = set()

    def __enter__(self) -> Self:
        if not self._job.is_file and self._job.target.exists() and not self._job.target.is_dir():
            raise UserError(f"{self._job.target} is a file; name a folder, or one that ends in .jsonl or .parquet")
        try:
            if not self._lock.take():
                raise UserError(f"another export writes to {self._job.target}; wait for it")
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{self._job.target} cannot be made: a file stands where a folder has to be") from None
        try:
            self._former = self._ours()
            self._sweep()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        finally:
            self._lock.release()

    def write(self, split: str, rows: pa.RecordBatch) -> None:
        if split not in self._writers:
            path = self._stack.enter_context(atomic_path(self._folder / self._name(split)))
            self._writers[split] = self._stack.enter_context(_WRITERS[self._job.kind](path))
        self._writers[split].write(rows)

    def finish(self, card: str = "") -> None:
        """All is written: every file takes its place, former ones that are no more go; a folder has its card."""
        names = {self._name(split) for split in self._writers} | ({CARD} if card else set())
        self._say(names | self._former)
        self._stack.close()
        if card:
            write_atomically(self._folder / CARD, card)
        for name in self._former - names:
            (self._folder / name).unlink(missing_ok=True)
        self._say(names)

    def _name(self, split: str) -> str:
        return self._job.target.name if self._job.is_file else f"{split}.{self._job.kind}"

    def _say(self, names: set[str]) -> None:
        said = {"run_id": self._run_id, "format": self._job.format, "files": sorted(names)}
        write_atomically(self._mark, json.dumps(said, indent=1))

    def _ours(self) -> set[str]:
        """The files of a former export of this run."""
        said = self._marked()
        job = self._job
        if said and not job.is_inside and (said["run_id"], said["format"]) != (self._run_id, job.format):
            raise UserError(
                f"{job.target} has {said['format']} of run {said['run_id']}; choose another --to, or remove that"
            )
        former = set(said.get("files", ()))
        names = {job.target.name} if job.is_file else _OURS
        if others := sorted(name for name in names - former if (self._folder / name).exists()):
            raise UserError(
                f"{self._folder / others[0]} is there already and of no export; choose another --to, or remove it"
            )
        return former & names

    def _marked(self) -> dict[str, Any]:
        try:
            said = json.loads(self._mark.read_text(encoding="utf-8"))
            return {"run_id": said["run_id"], "format": said["format"], "files": said["files"]}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError):
            raise UserError(f"{self._mark} is of no export; choose another --to, or remove it") from None

    def _sweep(self) -> None:
        """Remove what a killed export left."""
        for name in (self._job.target.name,) if self._job.is_file else _OURS:
            for path in self._folder.glob(f".{name}.*-*.tmp"):
                path.unlink(missing_ok=True)


class Writer(Protocol):
    """Takes batches of one schema; ends the file when it is left."""

    def __enter__(self) -> Writer: ...
    def __exit__(self, *_: object) -> None: ...
    def write(self, rows: pa.RecordBatch) -> None: ...


class _Lines:
    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, rows: pa.RecordBatch) -> None:
        self._file.write(json_lines(rows))


class _RowGroups:
    """Row groups of some MiB, whatever the batches."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: pq.ParquetWriter | None = None
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._flush()
        if self._file:
            self._file.close()

    def write(self, rows: pa.RecordBatch) -> None:
        self._held.append(rows)
        self._bytes += rows.nbytes
        if self._bytes > _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._held)
        file = self._file = self._file or pq.ParquetWriter(self._path, table.schema, compression="zstd")
        file.write_table(table)
        self._held, self._bytes = [], 0


_WRITERS: dict[FileKind, Callable[[Path], Writer]] = {FileKind.JSONL: _Lines, FileKind.PARQUET: _RowGroups}
