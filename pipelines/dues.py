"""Which rows the documents of each persona part owe in a lap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from actors.logic.dues import Lots, dues, lot
from actors.logic.plan import LapDues
from cluster.local_copies import readable
from cluster.parts import part_path

_HELD = 4_000_000  # lots in memory; beyond, they are drawn again at each pass


def lap_dues(
    folder: Path, parts: Sequence[tuple[str, int]], laps: Sequence[int], seed: int, kind: str = "personas"
) -> tuple[LapDues, list[tuple[str, int]]]:
    """What the documents owe in the last of the laps, and the rows that each part owes of it.

    Parts are given by name and number of documents that owe, laps by the rows asked for in each; `kind` is the folder
    whose parts name these documents.
    """
    documents = sum(count for _, count in parts)
    pieces = _lots(folder / kind, [name for name, _ in parts], seed, held=documents <= _HELD)
    before, through = (dues(sum(some), documents, pieces) for some in (laps[:-1], laps))
    owed = [(name, through.of_all(lots) - before.of_all(lots)) for (name, _), lots in zip(parts, pieces(), strict=True)]
    return LapDues(len(laps) - 1, before, through), owed


def _lots(folder: Path, names: Sequence[str], seed: int, held: bool) -> Callable[[], Iterable[Lots]]:
    """The lots of the documents in the parts of a folder, part by part."""

    def drawn() -> Iterator[Lots]:
        for name in names:
            table = pq.read_table(
                readable(part_path(folder, name)), columns=["document_id"], read_dictionary=["document_id"]
            )
            ids = table.column("document_id").unique().to_pylist()
            yield np.array([lot(seed, one) for one in ids], np.uint64)

    if not held:
        return drawn
    pieces = list(drawn())
    return lambda: pieces
