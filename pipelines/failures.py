"""What a run gave up, by stage and kind, each with a few examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.local_copies import readable

_READ = 10_000
_COLUMNS = ["stage", "kind", "message", "item_id", "attempts"]


@dataclass(slots=True)
class Kind:
    """A kind of failure: how many there are, and the first few as (item, message, attempts)."""

    stage: str
    kind: str
    count: int = 0
    examples: list[tuple[str, str, int]] = field(default_factory=list)


def failure_kinds(folder: Path, examples: int = 1, most: int = _READ) -> list[Kind]:
    """The most frequent first, of the first `most` rows or a little more."""
    kinds: dict[tuple[str, str], Kind] = {}
    read = 0
    for path in sorted((folder / "failures").glob("part-*.parquet")):
        for row in _rows(path):
            read += 1
            kind = kinds.setdefault((row["stage"], row["kind"]), Kind(row["stage"], row["kind"]))
            kind.count += 1
            if len(kind.examples) < examples:
                kind.examples.append((row["item_id"], row["message"], row["attempts"]))
        if read >= most:
            break
    return sorted(kinds.values(), key=lambda one: -one.count)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """None where the part was put together with others meanwhile."""
    try:
        with pq.ParquetFile(readable(path)) as file:
            for batch in file.iter_batches(columns=_COLUMNS):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowInvalid):
        return
