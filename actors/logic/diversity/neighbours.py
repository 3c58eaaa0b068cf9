"""The cosine of each persona of a sample with its nearest among all personas, exactly, in one pass over their vectors.

Knows no index: an approximate one would miss some neighbours, and those of a sample are cheap to find by brute force.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1024  # queries; times the rows of a piece, four bytes each
_LEAST, _MOST, _COSINES = 500, 5000, 5 * 10**8
BINS = 20


@dataclass(frozen=True, slots=True)
class NearestFigures:
    """Of `queries` personas, each with its nearest among all. `histogram` counts cosines in steps of .05 from 0 to 1,
    what is below 0 in the first."""

    queries: int
    median: float
    share_from_0_8: float
    share_from_0_9: float
    histogram: list[int]


def queries_for(personas: int) -> int:
    """How many of a sample are asked about among so many: all of up to 5,000, and beyond 100,000 personas so many that
    the time stays, but 500 at least: a share is then right within ±.045, 95 times of 100."""
    return max(_LEAST, min(_MOST, _COSINES // max(1, personas)))


class Nearest:
    """The best cosine seen so far of each of q queries, none with itself; −1 where nothing was."""

    def __init__(self, queries: NDArray[np.float32], positions: NDArray[np.int64]) -> None:
        """Unit vectors (q × d), and in which row of all (q) each of them is."""
        self._queries, self._positions = queries, positions
        self.cosines = np.full(len(queries), -1.0, np.float32)

    def see(self, start: int, vectors: NDArray[np.float32]) -> None:
        """Rows `start` to `start` + m of all: m × d."""
        for low in range(0, len(self._queries), _AT_ONCE):
            block = slice(low, low + _AT_ONCE)
            cosines = self._queries[block] @ vectors.T
            own = self._positions[block] - start
            [mine] = np.nonzero((own >= 0) & (own < len(vectors)))
            cosines[mine, own[mine]] = -1
            np.maximum(self.cosines[block], cosines.max(axis=1), out=self.cosines[block])


def nearest_figures(cosines: NDArray[np.float32]) -> NearestFigures | None:
    """Of the cosines with the nearest; None where there are none."""
    if not len(cosines):
        return None
    cosines = cosines.clip(-1, 1)
    bins = (cosines * BINS).astype(np.int64).clip(0, BINS - 1)
    return NearestFigures(
        queries=len(cosines),
        median=float(np.median(cosines)),
        share_from_0_8=float(np.mean(cosines >= np.float32(0.8))),
        share_from_0_9=float(np.mean(cosines >= np.float32(0.9))),
        histogram=np.bincount(bins, minlength=BINS).tolist(),
    )
