"""Which parts of a run a report reads: all of a small one, of a large one as many as the seed chooses, so that a page
takes bounded time. A part that is put together with others meanwhile is passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from actors.logic.sampling import derived_rng
from cluster.local_copies import readable
from cluster.parts import part_path


def chosen_parts(parts: Mapping[str, Mapping[str, int]], count: str, enough: int, seed: int) -> list[str]:
    """Parts with `enough` rows in all, as `count` counts them, or all of them."""
    names = sorted(name for name, part in parts.items() if part.get(count))
    derived_rng(seed, "report", count).shuffle(names)
    found, chosen = 0, []
    for name in names:
        if found >= enough:
            break
        found += parts[name][count]
        chosen.append(name)
    return sorted(chosen)


def batches(folder: Path, parts: Iterable[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of these parts, in pieces of a bounded number."""
    for name in parts:
        try:
            with pq.ParquetFile(readable(part_path(folder, name))) as file:
                yield from file.iter_batches(batch_size=1024, columns=list(columns))
        except (OSError, pa.ArrowInvalid):
            continue


def rows_with(
    folder: Path, parts: Iterable[str], columns: Sequence[str], column: str, wanted: set[str]
) -> Iterator[dict[str, object]]:
    """The rows whose `column` is one of `wanted`."""
    among = pa.array(sorted(wanted), pa.string())
    for batch in batches(folder, parts, columns):
        found = batch.filter(pc.is_in(batch.column(column), among))
        yield from found.to_pylist()
