"""The stored signature that agrees most with another: MinHash look-up by bands (Leskovec et al. 2020, 3.4).

A signature is cut into so many bands that two whose similarity is at the threshold agree in at least one: nothing is
missed. Decides nothing; one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actors.index.log import IndexLog
from actors.logic.minhash import Signatures, band_keys, bands_for, similarities
from cluster.digest_runs import Run, one_run, runs_to_merge

_PIECE = 1 << 16  # pairs that are compared at once
_FLOOR = 1 << 17  # entries that are cheap to sort again
IN_MEMORY = 1 << 22
_LAST = np.int64(2**40)


class BandIndex:
    """The bands of a log's signatures, 16 bytes each, in few sorted runs; they are made again at each start."""

    def __init__(self, log: IndexLog, threshold: float, folder: Path | None, in_memory: int = IN_MEMORY) -> None:
        """Runs of more than `in_memory` entries lie in the folder, where there is one."""
        self._in_memory = in_memory
        self._log, self._folder, self._bands = log, folder, bands_for(threshold)
        self._runs: list[Run] = []
        self._rows = 0
        self.catch_up()

    def catch_up(self) -> None:
        """Takes the rows that the log has beyond those that are found."""
        for rows in self._log.pieces(self._rows):
            keys = band_keys(rows.signatures, self._bands).ravel()
            positions = np.repeat(np.arange(self._rows, self._rows + len(rows), dtype=np.uint64), self._bands)
            order = keys.argsort(kind="stable")
            self._add(Run(keys[order], positions[order]))
            self._rows += len(rows)

    def nearest(self, signatures: Signatures) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best estimate of Jaccard's similarity (n) among the rows that share a band, and the earliest row that has
        it (n); −1 and −1 where none shares one."""
        best = np.full(len(signatures), -1, np.int64)
        for queries, positions in self._sharing(signatures):
            agreed = np.count_nonzero(signatures[queries] == self._log.signatures(positions), axis=1)
            np.maximum.at(best, queries, agreed * _LAST + (_LAST - 1 - positions))
        positions = np.where(best < 0, -1, _LAST - 1 - best % _LAST)
        scores = np.full(len(signatures), -1.0, np.float32)
        found = positions >= 0
        scores[found] = similarities(signatures[found], self._log.signatures(positions[found]))
        return scores, positions

    def _sharing(self, signatures: Signatures) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Queries and the rows that share a band with them, in pieces of bounded size."""
        keys = band_keys(signatures, self._bands).ravel()
        for run in self._runs:
            assert run.values is not None
            starts = run.keys.searchsorted(keys)
            ends = np.cumsum(run.keys.searchsorted(keys, side="right") - starts)
            for low in range(0, int(ends[-1]) if len(ends) else 0, _PIECE):
                pairs = np.arange(low, min(low + _PIECE, int(ends[-1])))
                of = ends.searchsorted(pairs, side="right")
                at = starts[of] + pairs - np.where(of, ends[of - 1], 0)
                yield of // self._bands, run.values[at].astype(np.int64)

    def _add(self, run: Run) -> None:
        runs = [*self._runs, run]
        kept = len(runs) - max(1, runs_to_merge([len(one) for one in runs], _FLOOR))
        in_memory = self._in_memory if self._folder else sum(map(len, runs))
        self._runs = [*runs[:kept], one_run(runs[kept:], self._folder or Path(), in_memory)]
