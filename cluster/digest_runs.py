"""Sorted runs of digests: a set or a map that outgrows memory is made of a few of them.

Owns the run: its order, its file, its search and its merge. Knows no record, segment or document: a key is a digest of
a fixed width, a value one number.

A run file is its n keys in ascending order, then, in a map, its n values (little-endian u64), and nothing else;
it is read by mmap, so that what is asked for most stays in the page cache, once for all processes of a node.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cluster.files import halt_on_disk_error

DIGEST = np.dtype("S16")  # numpy orders it as memcmp does, and searches it without unpacking
VALUE = np.dtype("<u8")
NOWHERE = np.uint64(2**64 - 1)
_MERGE_CHUNK = 1 << 16
_COPY_CHUNK = 1 << 20


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


def find_all(runs: Sequence[Run], keys: NDArray[np.generic]) -> NDArray[np.uint64]:
    """The values of many keys in a map; `NOWHERE` for those that it does not hold."""
    found, order = np.full(len(keys), NOWHERE), keys.argsort(kind="stable")
    wanted = keys[order]
    for run in runs:
        if len(run):
            assert run.values is not None, "a set of digests has no values"
            at = np.minimum(run.keys.searchsorted(wanted), len(run) - 1)
            here = run.keys[at] == wanted
            found[order[here]] = run.values[at[here]]
    return found


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


def one_run(runs: Sequence[Run], folder: Path, buffer: int) -> Run:
    """Runs without a key in common as one: in memory up to `buffer` entries, else in a nameless file in `folder`."""
    total = sum(map(len, runs))
    if total <= buffer:
        return runs[0] if len(runs) == 1 else _joined(runs)
    with halt_on_disk_error(f"digests in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            write_run(file, runs)
            return map_run(file, total, runs[0].keys.dtype, runs[0].values is not None)


def write_revalued(file: BinaryIO, run: Run, moves: Run) -> None:
    """Writes a map's run with each value that is a key of `moves` replaced by the value it has there."""
    assert run.values is not None, "a set of digests has no values"
    for start in range(0, len(run), _COPY_CHUNK):
        file.write(run.keys[start : start + _COPY_CHUNK].tobytes())
    for start in range(0, len(run), _COPY_CHUNK):
        values = run.values[start : start + _COPY_CHUNK]
        moved = find_all([moves], values)
        file.write(np.where(moved == NOWHERE, values, moved).tobytes())
    file.flush()


def _part(run: Run, start: int, end: int) -> Run:
    return Run(run.keys[start:end], None if run.values is None else run.values[start:end])


def _joined(parts: Sequence[Run]) -> Run:
    keys = np.concatenate([part.keys for part in parts])
    order = keys.argsort(kind="stable")
    values = [part.values for part in parts if part.values is not None]
    return Run(keys[order], np.concatenate(values)[order] if values else None)
