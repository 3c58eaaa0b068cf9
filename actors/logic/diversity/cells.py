"""How much of the embedding space texts reach: in how many of its cells at least one of them lies.

The cells are the same for every corpus, so that two corpora of one model can be compared, and a corpus with what the
model says when it is asked for a person again and again without a document.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS = 128
CELLS = _DIRECTIONS**2

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Covered:
    """In how many `cells` of CELLS some of so many personas lie."""

    personas: int
    cells: int


@dataclass(frozen=True, slots=True)
class Beside:
    """In how many cells as many personas and baseline texts lie."""

    personas: int
    cells: int
    baseline_cells: int


def cell_of(vectors: Vectors) -> NDArray[np.int64]:
    """The cell (n, below CELLS) of each of n vectors (n × d): which direction of each of two sets of 128 is nearest.

    A locality-sensitive hash of angles (as in Andoni et al. 2015, arXiv:1509.02897): of two personas at a cosine of .9
    or more four in ten share their cell, at .7 one in twenty, at .5 one in a hundred.
    """
    first, second = ((vectors @ directions.T).argmax(axis=1) for directions in _directions(vectors.shape[1]))
    cells: NDArray[np.int64] = first * _DIRECTIONS + second
    return cells


def curve(vectors: Vectors) -> list[Covered]:
    """What the first 10, 100, 1,000 … of n vectors cover, and all."""
    counts = [*(10**power for power in range(1, 12) if 10**power < len(vectors)), len(vectors)]
    cells = cell_of(vectors)
    return [Covered(count, len(np.unique(cells[:count]))) for count in counts]


def beside_baseline(vectors: Vectors, baseline: Vectors) -> Beside:
    """What the first of both cover, as many as there are of the fewer."""
    count = min(len(vectors), len(baseline))
    cells, others = (len(np.unique(cell_of(some[:count]))) for some in (vectors, baseline))
    return Beside(count, cells, others)


class CellsReached:
    """Counts the cells that vectors lie in, over any number of them, in 16 kB."""

    def __init__(self) -> None:
        self._reached = np.zeros(CELLS, bool)

    def see(self, vectors: Vectors) -> None:
        self._reached[cell_of(vectors)] = True

    @property
    def count(self) -> int:
        return int(self._reached.sum())


@cache
def _directions(dimension: int) -> tuple[Vectors, Vectors]:
    """Two sets of 128 unit vectors (128 × d) that hang on d alone."""
    drawn = hashlib.shake_128(b"cells").digest(2 * _DIRECTIONS * dimension)
    sets = np.frombuffer(drawn, np.int8).reshape(2, _DIRECTIONS, dimension) + np.float32(0.5)
    first, second = sets / np.linalg.norm(sets, axis=2, keepdims=True)
    return first, second
