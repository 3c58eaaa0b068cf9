"""The parts of a run that count, as batches: a part at a time, so that memory does not grow with the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from actors.logic.export import Batch
from cluster.errors import UserError
from cluster.manifest import Manifest, load
from cluster.parts import part_path

REJECTED = "rejected_conversations"
_CALLED = "messages.list.element.tool_calls.list.element.function.name"


@dataclass(frozen=True, slots=True)
class Source:
    """A run as far as it is written; `tools`: whether any of its conversations has some."""

    run_dir: Path
    manifest: Manifest
    parts: list[str]
    tools: bool
    candidates: bool

    @property
    def seed(self) -> int:
        return int(self.manifest.settings.get("seed", 0))


def find(run_dir: Path, candidates: bool = False, tools: bool = False) -> Source:
    """The run's committed parts, with refused candidates or tools where these are asked for. `UserError` where there
    is nothing to be exported, with the way out."""
    manifest = load(run_dir / "manifest.json") if run_dir.is_dir() else None
    if manifest is None:
        raise UserError(f"{run_dir} is no run: it has no manifest.json")
    parts = [name for name, part in manifest.conversations.parts.items() if part["rows"]]
    if not parts:
        raise UserError(f"{run_dir} has no conversations yet; `populace status {run_dir}` says how far it is")
    if candidates and not any(part_path(run_dir / REJECTED, name).exists() for name in parts):
        raise UserError(
            f"{run_dir} has no refused candidates to pair with its conversations; set `conversations.candidates: 2` or "
            "`conversations.auto_improve: true` in a new run"
        )
    tools = tools or any(_has_tools(part_path(run_dir / "conversations", name)) for name in parts)
    return Source(run_dir, manifest, parts, tools, candidates)


def batches(source: Source) -> Iterator[Batch]:
    """A batch for each part, in the order in which they were made."""
    said = ["messages"] if source.tools else ["messages.list.element.role", "messages.list.element.content"]
    columns = ["conversation_id", "document_id", *said, *(["scores"] if source.candidates else [])]
    for name in source.parts:
        rows = _read(part_path(source.run_dir / "conversations", name), [*columns, "document_ids", "tools"])
        rejected = None
        if source.candidates:
            path = part_path(source.run_dir / REJECTED, name)
            rejected = _read(path, columns) if path.exists() else rows.slice(0, 0)
        yield Batch(rows, source.tools, rejected)


def _read(path: Path, columns: list[str]) -> pa.RecordBatch:
    with _open(path) as file:
        table = file.read(columns=columns, use_threads=False).combine_chunks()
    return table.to_batches()[0] if len(table) else pa.RecordBatch.from_pylist([], table.schema)


def _has_tools(path: Path) -> bool:
    """By the footer alone."""
    with _open(path) as file:
        footer = file.metadata
        paths = [footer.schema.column(at).path for at in range(footer.num_columns)]
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        columns = [group.column(paths.index(name)) for group in groups for name in ("tools", _CALLED)]
        return any(column.statistics.null_count < column.num_values for column in columns)


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(pa.OSFile(str(path)))
    except FileNotFoundError:
        raise UserError(f"{path} is gone: the run has been started over meanwhile; export it again") from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} cannot be read: {error}") from None
