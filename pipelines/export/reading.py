"""The parts of a run that count, as batches of some rows, so that memory grows with neither the run nor its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actors.logic.export import Batch
from cluster.errors import UserError
from cluster.local_copies import opened
from cluster.manifest import Manifest
from cluster.parts import part_path
from pipelines.run_reading import find_run

ROWS = 1000  # in a conversion: few enough for a processor's cache
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
    manifest = find_run(run_dir).manifest
    parts = [name for name, part in manifest.conversations.parts.items() if part["rows"]]
    if not parts:
        raise UserError(f"{run_dir} has no conversations yet; `populace status {run_dir}` says how far it is")
    if candidates and not any(part_path(run_dir / REJECTED, name).is_file() for name in parts):
        raise UserError(
            f"{run_dir} has no refused candidates to pair with its conversations; set `conversations.candidates: 2` or "
            "`conversations.auto_improve: true` in a new run"
        )
    tools = tools or any(_has_tools(part_path(run_dir / "conversations", name)) for name in parts)
    return Source(run_dir, manifest, parts, tools, candidates)


def batches(source: Source) -> Iterator[Batch]:
    """The rows in the order in which they were made, each with its refused candidates beside it."""
    said = ["messages"] if source.tools else ["messages.list.element.role", "messages.list.element.content"]
    columns = ["conversation_id", "document_id", *said, *(["scores"] if source.candidates else [])]
    for name in source.parts:
        with _open(part_path(source.run_dir / "conversations", name)) as file:
            found = _pieces(file, [*columns, "document_ids", "tools"])
            if not source.candidates:
                yield from (Batch(rows, source.tools) for rows in found)
            elif not _has_candidates(source, name):
                yield from (Batch(rows, source.tools, _none(rows)) for rows in found)
            else:
                yield from _paired(source, name, file, found, columns)


def _has_candidates(source: Source, name: str) -> bool:
    """By the manifest, since the file may be on its way into another part."""
    path = part_path(source.run_dir / REJECTED, name)
    return bool(source.manifest.conversations.parts[name].get("candidates", path.is_file()))


def _paired(
    source: Source, name: str, file: pq.ParquetFile, found: Iterator[pa.RecordBatch], columns: list[str]
) -> Iterator[Batch]:
    """Both files of a part have the same order, so candidates are read as their conversations are."""
    with _open(part_path(source.run_dir / REJECTED, name)) as refused:
        places, pieces = _places(_ids(refused), _ids(file)), _pieces(refused, columns)
        seen = taken = read = 0
        held: list[pa.RecordBatch] = []
        for rows in found:
            seen += len(rows)
            until = int(np.searchsorted(places, seen))
            while read < until:
                held.append(next(pieces))
                read += len(held[-1])
            together = held[0] if len(held) == 1 else pa.concat_batches(held) if held else _none(rows)
            yield Batch(rows, source.tools, together.slice(0, until - taken))
            held, taken = [together.slice(until - taken)] if read > until else [], until


def _places(refused: pa.Array, accepted: pa.Array) -> NDArray[np.int64]:
    """Where the conversation of each candidate stands; one whose dialogue was not accepted stands with those before
    it."""
    places = pc.fill_null(pc.index_in(refused, value_set=accepted), 0)
    found: NDArray[np.int64] = np.maximum.accumulate(places.to_numpy())
    return found


def _ids(file: pq.ParquetFile) -> pa.Array:
    return file.read(columns=["conversation_id"]).column(0).combine_chunks()


def _pieces(file: pq.ParquetFile, columns: list[str]) -> Iterator[pa.RecordBatch]:
    found: Iterator[pa.RecordBatch] = file.iter_batches(ROWS, columns=columns, use_threads=False)
    return found


def _none(rows: pa.RecordBatch) -> pa.RecordBatch:
    """No candidate, in the columns that candidates have."""
    return rows.slice(0, 0).select([name for name in rows.schema.names if name not in ("document_ids", "tools")])


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
        return pq.ParquetFile(opened(path))
    except FileNotFoundError:
        raise UserError(
            f"{path} is gone: the run has gone on or been started over meanwhile; export it again"
        ) from None
    except pa.ArrowInvalid as error:
        raise UserError(f"{path} cannot be read: {error}") from None
