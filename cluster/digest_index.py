"""Sets and maps of digests that outgrow memory: sorted runs, searched in place, kept few by merging.

Owns the run (its order, its file, its search and its merge), and the `SeenSet` and the `DigestMap` made of runs.
Knows no record, segment or document: a key is a digest of a fixed width, a value one number.

A run file is its n keys in ascending order, then, in a map, its n values (little-endian u64), and nothing else;
it is read by mmap, so that what is asked for most stays in the page cache, once for all processes of a node.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from cluster.files import atomic_path, halt_on_disk_error, write_atomically

logger = logging.getLogger(__name__)

DIGEST = np.dtype("S16")  # numpy orders it as memcmp does, and searches it without unpacking
VALUE = np.dtype("<u8")
_MERGE_CHUNK = 1 << 16
_INDEX = "index.json"


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Distinct keys in ascending order and, in a map, the value of each; in memory or mapped from a file."""

    keys: NDArray[np.generic]
    values: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.keys)


def find(runs: Sequence[Run], key: bytes) -> int | None:
    """The value of a 16-byte key in a map."""
    wanted = np.frombuffer(key, DIGEST)
    for run in runs:
        at = int(run.keys.searchsorted(wanted)[0])
        if at < len(run.keys) and run.keys[at] == wanted[0]:
            assert run.values is not None, "a set of digests has no values"
            return int(run.values[at])
    return None


def first_seen(runs: Sequence[Run], keys: NDArray[np.generic]) -> NDArray[np.intp]:
    """Where in `keys` stand the first ones of those that no run holds; in ascending order of the keys."""
    distinct, first = np.unique(keys, return_index=True)
    unseen = np.ones(len(distinct), dtype=np.bool_)
    for run in runs:
        if len(run):
            at = np.minimum(run.keys.searchsorted(distinct), len(run) - 1)
            unseen &= run.keys[at] != distinct
    found: NDArray[np.intp] = first[unseen]
    return found


def runs_to_merge(lengths: Sequence[int], floor: int) -> int:
    """How many of the last runs to make one of, so that each is longer than all after it together; 0 for none.

    So n entries lie in at most log2(n ÷ floor) + 2 runs, and each is rewritten as often at most. Runs that together
    stay within `floor` are cheap to rewrite and always become one.
    """
    count, after = 0, 0
    for position, length in enumerate(reversed(lengths)):
        if position and length <= max(after, floor - after):
            count = position + 1
        after += length
    return count


def merged(runs: Sequence[Run]) -> Iterator[Run]:
    """The entries of runs without a key in common, in one order, in pieces of bounded size."""
    at = [0] * len(runs)
    while any(start < len(run) for start, run in zip(at, runs, strict=True)):
        heads = [_part(run, start, start + _MERGE_CHUNK) for start, run in zip(at, runs, strict=True)]
        bound = np.sort(np.concatenate([head.keys[-1:] for head in heads]))[:1]
        counts = [int(head.keys.searchsorted(bound, side="right")[0]) for head in heads]
        yield _joined([_part(head, 0, count) for head, count in zip(heads, counts, strict=True)])
        at = [start + count for start, count in zip(at, counts, strict=True)]


def write_run(file: BinaryIO, runs: Sequence[Run]) -> None:
    """Writes runs without a key in common as one run file; needs memory for a piece of each only."""
    total, at = sum(map(len, runs)), 0
    for piece in merged(runs):
        width = piece.keys.itemsize
        file.seek(at * width)
        file.write(piece.keys.tobytes())
        if piece.values is not None:
            file.seek(total * width + at * VALUE.itemsize)
            file.write(piece.values.tobytes())
        at += len(piece)
    file.flush()


def map_run(file: BinaryIO | Path, length: int, keys: np.dtype[np.generic], with_values: bool) -> Run:
    """The run of `length` entries in a run file, left on the disk; the file may be unlinked while it is in use."""
    if not length:
        return Run(np.empty(0, keys), np.empty(0, np.uint64) if with_values else None)
    content = np.memmap(file, np.uint8, "r", shape=(length * (keys.itemsize + with_values * VALUE.itemsize),))
    split = length * keys.itemsize
    values = np.frombuffer(content, VALUE, offset=split) if with_values else None
    return Run(np.frombuffer(content, keys, count=length), values)


def _part(run: Run, start: int, end: int) -> Run:
    return Run(run.keys[start:end], None if run.values is None else run.values[start:end])


def _joined(parts: Sequence[Run]) -> Run:
    keys = np.concatenate([part.keys for part in parts])
    order = keys.argsort(kind="stable")
    values = [part.values for part in parts if part.values is not None]
    return Run(keys[order], np.concatenate(values)[order] if values else None)


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
            self._runs = [*runs[:kept], self._one_of(runs[kept:])]
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

    def _one_of(self, runs: Sequence[Run]) -> Run:
        total = sum(map(len, runs))
        if total <= self._buffer:
            return runs[0] if len(runs) == 1 else _joined(runs)
        with halt_on_disk_error(f"seen digests in {self._folder}"):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder) as file:
                write_run(file, runs)
                return map_run(file, total, np.dtype(np.uint64), with_values=False)


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
        self.note = note
        write_atomically(self._folder / _INDEX, json.dumps({"runs": self._names, "note": note}))
        self._sweep()

    def clear(self) -> None:
        """Removes all entries and the note."""
        (self._folder / _INDEX).unlink(missing_ok=True)
        self._names, self._runs, self.note = [], [], ""
        self._sweep()

    def hold(self, keys: NDArray[np.bytes_], values: NDArray[np.uint64]) -> None:
        """Adds for this object alone, in memory; `add` is not for a map that holds such entries."""
        fresh = first_seen(self._runs, keys)
        if len(fresh):
            runs = [*self._runs[len(self._names) :], Run(keys[fresh], values[fresh])]
            kept = len(runs) - max(1, runs_to_merge([len(run) for run in runs], floor=0))
            self._runs = [*self._runs[: len(self._names)], *runs[:kept], _joined(runs[kept:])]

    def _load(self) -> None:
        try:
            content = json.loads((self._folder / _INDEX).read_bytes())
            names, note = list(content["runs"]), str(content["note"])
            self._runs = [self._map(name) for name in names]
            self._names, self.note = names, note
        except FileNotFoundError as error:
            if error.filename != str(self._folder / _INDEX):
                logger.warning("%s is gone: the index is made again", error.filename)
        except (ValueError, TypeError, KeyError) as error:
            logger.warning("%s cannot be read (%s): the index is made again", self._folder / _INDEX, error)

    def _map(self, name: str) -> Run:
        path, length = self._folder / name, int(name.removesuffix(".run").partition("-")[2])
        if path.stat().st_size != length * (DIGEST.itemsize + VALUE.itemsize):
            raise ValueError(f"{name} is not whole")
        return map_run(path, length, DIGEST, with_values=True)

    def _next_number(self) -> int:
        return 1 + max((int(path.name.partition("-")[0]) for path in self._folder.glob("*.run")), default=0)

    def _sweep(self) -> None:
        for path in self._folder.iterdir():
            if path.name not in (_INDEX, *self._names):
                path.unlink(missing_ok=True)
