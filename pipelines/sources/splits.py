"""In which pieces files are read, and how many documents are in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from pipelines.sources.byte_streams import TROUBLE, is_http, is_packed, open_stream
from pipelines.sources.csv_rows import csv_rows
from pipelines.sources.files import Kind, SourceFile
from pipelines.sources.json_lines import is_blank, read_lines
from pipelines.sources.parquet_rows import open_parquet

TARGET_BYTES = 32 << 20  # of one split
MAX_FILES = 256  # in one split


@dataclass(frozen=True, slots=True)
class Split:
    """What one task reads: several whole files of one kind (`end` is None), or a range of one.

    A range is of bytes in JSON Lines, where it owns the lines that start in it, and of row groups in Parquet.
    """

    kind: Kind
    files: tuple[SourceFile, ...]
    begin: int = 0
    end: int | None = None


def plan_splits(files: Sequence[SourceFile], target_bytes: int = TARGET_BYTES) -> list[Split]:
    """The files cut and grouped into pieces of about `target_bytes`, in their order; the same files, the same pieces.

    Only JSON Lines and Parquet can be cut, and only uncompressed and where a part of a file can be asked for.
    """
    splits: list[Split] = []
    weight = 0
    for file in files:
        if ranges := _ranges(file, target_bytes):
            splits += ranges
        elif splits and _has_room(splits[-1], file.kind) and weight + file.size <= target_bytes:
            splits[-1] = Split(file.kind, (*splits[-1].files, file))
            weight += file.size
        else:
            splits.append(Split(file.kind, (file,)))
            weight = file.size
    return splits


def _has_room(split: Split, kind: Kind) -> bool:
    return split.kind is kind and split.end is None and len(split.files) < MAX_FILES


def _ranges(file: SourceFile, target_bytes: int) -> list[Split]:
    bounds: Sequence[int] = ()
    if file.size <= target_bytes:
        pass
    elif file.kind is Kind.PARQUET:
        bounds = _row_group_bounds(file, target_bytes)
    elif file.kind is Kind.JSONL and not is_http(file.path) and not is_packed(file.path):
        bounds = [*range(0, file.size, target_bytes), file.size]
    return [Split(file.kind, (file,), begin, end) for begin, end in itertools.pairwise(bounds)]


def _row_group_bounds(file: SourceFile, target_bytes: int) -> list[int]:
    """No bounds where the footer cannot be read: the file stays whole, and whoever reads it says why."""
    try:
        with open_parquet(file) as parquet:
            sizes = [parquet.metadata.row_group(at).total_byte_size for at in range(parquet.num_row_groups)]
    except TROUBLE:
        return []
    bounds, weight = [0], 0
    for at, size in enumerate(sizes):
        if weight and weight + size > target_bytes:
            bounds.append(at)
            weight = 0
        weight += size
    return [*bounds, len(sizes)]


def row_groups(parquet: pq.ParquetFile, split: Split) -> list[int]:
    return list(range(split.begin, parquet.num_row_groups if split.end is None else split.end))


def count_documents(splits: Iterable[Split], stop_at: int | None = None) -> int:
    """How many documents there are, at most `stop_at`, broken ones among them: records are counted, not parsed."""
    total = 0
    for number in (number for split in splits for file in split.files for number in _counts(file, split)):
        total += number
        if stop_at is not None and total >= stop_at:
            return stop_at
    return total


def _counts(file: SourceFile, split: Split) -> Iterator[int]:
    """Numbers that add up to the documents of the file, as far as it can be read."""
    try:
        if file.kind is Kind.TEXT:
            yield 1
        elif file.kind is Kind.PARQUET:
            with open_parquet(file) as parquet:
                yield sum(parquet.metadata.row_group(at).num_rows for at in row_groups(parquet, split))
        elif file.kind is Kind.CSV:
            with open_stream(file.path) as stream:
                yield from (1 for _ in itertools.islice(csv_rows(stream), 1, None))
        else:
            with open_stream(file.path, split.begin) as stream:
                yield from (1 for _, line in read_lines(stream, split.begin, split.end) if not is_blank(line))
    except TROUBLE:
        return
