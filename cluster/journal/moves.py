"""Old places and new ones, on the disk while a compaction lasts."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cluster.digest_runs import Run
from cluster.files import halt_on_disk_error


class Moves:
    """Two columns in nameless files in `folder`; 16 bytes a record. Old places come in ascending order."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stack = folder, ExitStack()

    def __enter__(self) -> Self:
        with halt_on_disk_error(self._folder):
            self._old = self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder))
            self._new = self._stack.enter_context(tempfile.TemporaryFile(dir=self._folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def add(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
        with halt_on_disk_error(self._folder):
            self._old.write(old.tobytes())
            self._new.write(new.tobytes())

    def run(self) -> Run:
        """From old to new; to be used while this is open."""
        with halt_on_disk_error(self._folder):
            self._old.flush()
            self._new.flush()
        if not self._old.tell():
            return Run(np.empty(0, np.uint64), np.empty(0, np.uint64))
        return Run(np.memmap(self._old, np.uint64, "r"), np.memmap(self._new, np.uint64, "r"))
