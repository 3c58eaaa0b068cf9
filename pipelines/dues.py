"""Which rows the documents of each persona part owe in a lap.

A lap is over the parts that there were when it began, so documents that come later change nothing of what it owes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from actors.logic.dues import Crowd, Dues, Lots, level, lot
from actors.logic.plan import LapDues
from cluster.local_copies import readable
from cluster.parts import part_path

_HELD = 4_000_000  # lots in memory; beyond, they are drawn again at each pass

Shares = list[tuple[str, int]]


def lap_dues(
    folder: Path, parts: Sequence[tuple[str, int]], laps: Sequence[tuple[int, int]], seed: int, kind: str = "personas"
) -> list[tuple[LapDues, Shares]]:
    """What documents owe in the last of the laps, and the rows that each part owes of it, by when the parts came.

    Parts are given in the order in which they came, by name and number of documents that owe; laps by the rows asked
    for in each and how many of the parts it is over; `kind` is the folder whose parts name these documents.
    """
    held = sum(count for _, count in parts) <= _HELD
    names: list[list[str]] = []
    before: list[Crowd] = []
    through: list[Crowd] = []
    asked = joined = 0
    for rows, over in _steps(laps):
        if came := [(name, count) for name, count in parts[joined:over] if count]:
            names.append(sorted(name for name, _ in came))
            lots = _lots(folder / kind, names[-1], seed, held)
            through.append(Crowd(Dues(), sum(count for _, count in came), lots))
        asked, joined = asked + rows, over
        before, reached = through, level(asked, through)
        through = [replace(one, so_far=max(one.so_far, reached)) for one in before]
    return [
        (LapDues(len(laps) - 1, one.so_far, other.so_far), _shares(some, one, other.so_far))
        for some, one, other in zip(names, before, through, strict=True)
    ]


def _steps(laps: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The rows of all laps before the last that are over the same parts in one, and that of the last."""
    for over, some in groupby(laps[:-1], key=lambda lap: lap[1]):
        yield sum(rows for rows, _ in some), over
    yield laps[-1]


def _shares(names: Sequence[str], crowd: Crowd, through: Dues) -> Shares:
    owed = (through.of_all(lots) - crowd.so_far.of_all(lots) for lots in crowd.lots())
    return list(zip(names, owed, strict=True))


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
