"""Which digests were there before, exactly and in bounded memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cluster.digest_runs import Run, first_seen, one_run, runs_to_merge


class SeenSet:
    """Which 64-bit digests were there before: exact, and in bounded memory whatever their number.

    Up to two `buffer`s of digests are held in memory, the rest in nameless files in `folder`, which the system
    removes with this object or its process (an own `folder` goes too, if closed). Not kept over restarts.
    """

    def __init__(self, folder: Path, buffer: int = 1 << 20) -> None:
        self._folder, self._buffer = folder, buffer
        self._runs: list[Run] = []
        self._owns_folder = not folder.exists()

    def add_new(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """True where a digest comes for the first time, in this batch and in all before it."""
        fresh = first_seen(self._runs, digests)
        if len(fresh):
            runs = [*self._runs, Run(digests[fresh])]
            kept = len(runs) - max(1, runs_to_merge([len(run) for run in runs], floor=0))
            self._runs = [*runs[:kept], one_run(runs[kept:], self._folder, self._buffer)]
        new = np.zeros(len(digests), dtype=np.bool_)
        new[fresh] = True
        return new

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forgets all digests and gives their memory and disk space back."""
        self._runs = []
        if self._owns_folder:
            with suppress(OSError):
                self._folder.rmdir()
