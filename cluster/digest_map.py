"""A map from digests to numbers that lies in a folder and outgrows memory: few sorted runs, searched in place."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cluster.digest_runs import (
    DIGEST,
    VALUE,
    Run,
    find,
    find_all,
    first_seen,
    map_run,
    one_run,
    runs_to_merge,
    write_revalued,
    write_run,
)
from cluster.files import atomic_path, write_atomically

logger = logging.getLogger(__name__)

INDEX = "index.json"
_PIECE = 1 << 20


class DigestMap:
    """A map from 16-byte digests to numbers in a folder, as few run files and an `index.json` that names them.

    `index.json` is replaced after each run that is written, and the files that it no longer names are removed then.
    It carries the owner's `note`, so that entries and what the owner says of them change in one step. One process may
    add; others that have it open keep what they saw. A map of which a part is missing is empty.
    """

    def __init__(self, folder: Path, floor: int = 1 << 19) -> None:
        self._folder, self._floor = folder, floor
        self.note = ""
        self._names: list[str] = []
        self._runs: list[Run] = []
        self._load()

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def find(self, key: bytes) -> int | None:
        """The value of a key, or None."""
        return find(self._runs, key)

    def find_all(self, keys: NDArray[np.bytes_]) -> NDArray[np.uint64]:
        """The values of many keys; `NOWHERE` for those that are not there."""
        return find_all(self._runs, keys)

    def add(self, keys: NDArray[np.bytes_], values: NDArray[np.uint64], note: str) -> None:
        """Adds to the folder the keys that are new, each with its first value, and takes the note."""
        fresh = first_seen(self._runs, keys)
        if len(fresh):
            runs = [*self._runs, Run(keys[fresh], values[fresh])]
            kept = len(runs) - max(1, runs_to_merge([len(run) for run in runs], self._floor))
            name = f"{self._next_number():06}-{sum(map(len, runs[kept:]))}.run"
            with atomic_path(self._folder / name) as path, path.open("wb") as file:
                write_run(file, runs[kept:])
            self._names = [*self._names[:kept], name]
            self._runs = [*runs[:kept], self._map(name)]
        self._publish(note)

    def move(self, moves: Run, note: str) -> None:
        """Replaces each value that is a key of `moves` by the value it has there, and takes the note: in one step."""
        names = []
        for run in self._runs:
            names.append(f"{self._next_number():06}-{len(run)}.run")
            with atomic_path(self._folder / names[-1]) as path, path.open("wb") as file:
                write_revalued(file, run, moves)
        self._names, self._runs = names, [self._map(name) for name in names]
        self._publish(note)

    def values(self) -> Iterator[NDArray[np.uint64]]:
        """All values, in pieces of bounded size."""
        for run in self._runs:
            assert run.values is not None
            for start in range(0, len(run), _PIECE):
                yield run.values[start : start + _PIECE]

    def clear(self) -> None:
        """Removes all entries and the note."""
        (self._folder / INDEX).unlink(missing_ok=True)
        self._names, self._runs, self.note = [], [], ""
        self._sweep()

    def hold(self, keys: NDArray[np.bytes_], values: NDArray[np.uint64], buffer: int = 1 << 20) -> None:
        """Adds for this object alone, up to two `buffer`s in memory and the rest in nameless files in the folder.

        `add` and `move` are not for a map that holds such entries.
        """
        fresh = first_seen(self._runs, keys)
        if len(fresh):
            runs = [*self._runs[len(self._names) :], Run(keys[fresh], values[fresh])]
            kept = len(runs) - max(1, runs_to_merge([len(run) for run in runs], floor=0))
            held = one_run(runs[kept:], self._folder, buffer)
            self._runs = [*self._runs[: len(self._names)], *runs[:kept], held]

    def _publish(self, note: str) -> None:
        self.note = note
        write_atomically(self._folder / INDEX, json.dumps({"runs": self._names, "note": note}))
        self._sweep()

    def _load(self) -> None:
        try:
            content = json.loads((self._folder / INDEX).read_bytes())
            names, note = list(content["runs"]), str(content["note"])
            self._runs = [self._map(name) for name in names]
            self._names, self.note = names, note
        except FileNotFoundError as error:
            if error.filename != str(self._folder / INDEX):
                logger.warning("%s is gone: the index is made again", error.filename)
        except (ValueError, TypeError, KeyError) as error:
            logger.warning("%s cannot be read (%s): the index is made again", self._folder / INDEX, error)

    def _map(self, name: str) -> Run:
        path, length = self._folder / name, int(name.removesuffix(".run").partition("-")[2])
        if path.stat().st_size != length * (DIGEST.itemsize + VALUE.itemsize):
            raise ValueError(f"{name} is not whole")
        return map_run(path, length, DIGEST, with_values=True)

    def _next_number(self) -> int:
        return 1 + max((int(path.name.partition("-")[0]) for path in self._folder.glob("*.run")), default=0)

    def _sweep(self) -> None:
        for path in self._folder.iterdir():
            if path.name not in (INDEX, *self._names):
                path.unlink(missing_ok=True)
