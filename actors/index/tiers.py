"""Which kind of FAISS index holds how many vectors, and how such an index is made. Knows no log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import faiss

from actors.logic.footprint import FLAT_ROWS


class Kind(StrEnum):
    """What an index keeps of a vector of d components."""

    FLAT = "flat"  # all of it, 4 × d bytes, and looks at every one
    SQ8 = "sq8"  # a byte a component, in inverted lists
    PQ4 = "pq4"  # half a byte for four components, in inverted lists, scanned in registers


@dataclass(frozen=True, slots=True)
class Rung:
    """A kind of index and its number of inverted lists (0 for flat)."""

    kind: Kind
    lists: int = 0

    def __str__(self) -> str:
        return f"{self.kind} with {self.lists:,} lists" if self.lists else str(self.kind)


@dataclass(frozen=True, slots=True)
class Tiers:
    """What an index has to find, when it moves up a rung, and what it must reach before it does.

    From `flat_rows` on there are inverted lists, about 4·√rows of them: a power of two, so that a move comes with each
    fourfold growth. Of `kinds` the first is taken that reaches the recall of neighbours at `cosine` or nearer, with as
    few lists searched as that takes: farther ones decide nothing. Half bytes come first: at 10⁶ rows they find as much
    as bytes do, many times as fast in a seventh of the memory (tests/benchmarks/index.py); bytes are for vectors that
    half bytes tell apart too badly.
    """

    flat_rows: int = FLAT_ROWS
    kinds: tuple[Kind, ...] = (Kind.PQ4, Kind.SQ8)
    cosine: float = 0.85  # from which on neighbours are looked for
    recall: float = 0.99  # least share of probes whose nearest is found
    most_searched: float = 0.25  # of the lists, to reach it
    probes: int = 512
    training_rows: int = 1 << 18  # at most, and at most 40 a list
    unlisted_rows: int = 2048  # the latest rows, searched flat beside the lists until there are so many
    snapshot_rows: int = 1 << 20  # added between two snapshots, at least

    def lists(self, rows: int) -> int:
        """Inverted lists for so many rows; 0 where a flat index does."""
        return 1 << max(0, round(math.log2(4 * math.sqrt(rows)))) if rows >= self.flat_rows else 0


CANDIDATES = {Kind.SQ8: 8, Kind.PQ4: 16}
"""How many rows an index of each kind is asked for, of which the nearest is found from the vectors themselves."""


def new_index(rung: Rung, dimension: int) -> faiss.IndexIVF:
    """An empty, untrained index by inner product."""
    if rung.kind is Kind.SQ8:
        return _made(dimension, f"IVF{rung.lists},SQ8")
    components = next(size for size in (4, 2, 1) if dimension % size == 0)
    return _made(dimension, f"IVF{rung.lists},PQ{dimension // components}x4fs")


def rung_of(index: faiss.IndexIVF) -> Rung:
    """The rung that an index was made for."""
    kind = Kind.SQ8 if isinstance(index, faiss.IndexIVFScalarQuantizer) else Kind.PQ4
    return Rung(kind, index.nlist)


def _made(dimension: int, factory: str) -> faiss.IndexIVF:
    index = cast(faiss.IndexIVF, faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT))
    index.cp.min_points_per_centroid = 1  # 16 are few, and enough: the recall is measured
    return index
