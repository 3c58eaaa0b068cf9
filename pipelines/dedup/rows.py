"""Rows of JSON Lines and Parquet as they are, a few hundred at a time, with the text of each."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from cluster.errors import UserError
from pipelines.sources.byte_streams import TROUBLE, open_stream
from pipelines.sources.files import Kind, SourceFile
from pipelines.sources.json_lines import is_blank, json_object, read_lines
from pipelines.sources.parquet_rows import batch_rows, columns_of, open_parquet, values_of
from pipelines.sources.record import Unreadable, held_by, no_field, no_text

ROWS = 256  # of a batch at most
_BYTES = 1 << 20  # of a batch, but for its last row


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows, the first of which is number `first` of the input.

    `texts` has None for a row without a text that can be compared, and `faults` says why by its place. `raw` is what
    the rows are in their file: lines (empty for one that is too long to be held), or a record batch.
    """

    first: int
    texts: list[str | None]
    faults: dict[int, str]
    raw: list[bytes] | pa.RecordBatch

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows as they are."""
        return self.raw.nbytes if isinstance(self.raw, pa.RecordBatch) else sum(map(len, self.raw))


def kind_of(files: Sequence[SourceFile]) -> Kind:
    """JSONL or PARQUET, the same for all files; `UserError` otherwise."""
    for file in files:
        if file.kind not in (Kind.JSONL, Kind.PARQUET):
            raise UserError(f"{file.name}: dedup reads .jsonl (also .gz or .zst) and .parquet")
        if file.kind is not files[0].kind:
            raise UserError(f"{files[0].name} and {file.name} are of two kinds; give one kind at a time")
    return files[0].kind


def check_columns(files: Sequence[SourceFile]) -> None:
    """`UserError` where Parquet files have not all the same columns, for one file is to hold them."""
    first: pa.Schema | None = None
    for file in files:
        with _told(file), open_parquet(file) as parquet:
            first = first or parquet.schema_arrow
            if not parquet.schema_arrow.equals(first):
                raise UserError(
                    f"{file.name} and {files[0].name} have not the same columns; give alike files at a time"
                )


def read_rows(files: Sequence[SourceFile], text_field: str, skip: int = 0) -> Iterator[Rows]:
    """All rows of the files in their order, but the first `skip`; the same files, the same rows."""
    if not files:
        return
    read = _jsonl if kind_of(files) is Kind.JSONL else _parquet
    number = 0
    for file in files:
        with _told(file):
            number = yield from read(file, text_field, number, skip)


@contextmanager
def _told(file: SourceFile) -> Iterator[None]:
    """What cannot be read is named."""
    try:
        yield
    except TROUBLE as error:
        raise UserError(f"{file.name} cannot be read: {' '.join(str(error).split())[:200]}") from None


def _jsonl(file: SourceFile, text_field: str, number: int, skip: int) -> Generator[Rows, None, int]:
    with open_stream(file.path) as stream:
        lines = (line for _, line in read_lines(stream) if not is_blank(line))
        number += sum(1 for _ in itertools.islice(lines, max(0, skip - number)))
        while batch := _some(lines):
            yield _parsed(number, batch, text_field)
            number += len(batch)
    return number


def _some(lines: Iterator[bytes | None]) -> list[bytes | None]:
    """The next lines, as many as make a batch."""
    batch, size = list[bytes | None](), 0
    for line in lines:
        batch.append(line)
        size += len(line or b"")
        if len(batch) == ROWS or size >= _BYTES:
            break
    return batch


def _parsed(first: int, lines: list[bytes | None], text_field: str) -> Rows:
    texts: list[str | None] = [None] * len(lines)
    faults: dict[int, str] = {}
    for at, line in enumerate(lines):
        try:
            row = json_object(line)
            if text_field not in row:
                raise Unreadable(no_field(text_field, row))
            texts[at] = _text(row[text_field], text_field)
        except Unreadable as trouble:
            faults[at] = str(trouble)
    return Rows(first, texts, faults, [line.rstrip(b"\r\n") + b"\n" if line else b"" for line in lines])


def _parquet(file: SourceFile, text_field: str, number: int, skip: int) -> Generator[Rows, None, int]:
    with open_parquet(file) as parquet:
        columns = columns_of(parquet)
        if text_field not in columns:
            raise UserError(f"{file.name}: {no_field(text_field, columns)}")
        if columns[text_field]:
            raise UserError(f"{file.name}: {no_text(text_field, columns[text_field])}")
        if not parquet.metadata.num_rows:
            yield _table(number, pa.RecordBatch.from_pylist([], parquet.schema_arrow), text_field)
        groups = list(range(parquet.num_row_groups))
        while groups and number + parquet.metadata.row_group(groups[0]).num_rows <= skip:
            number += parquet.metadata.row_group(groups.pop(0)).num_rows
        for batch in parquet.iter_batches(min(ROWS, batch_rows(parquet, groups)), groups, use_threads=False):
            number += (begun := min(len(batch), max(0, skip - number)))
            if begun < len(batch):
                yield _table(number, batch.slice(begun), text_field)
                number += len(batch) - begun
    return number


def _table(first: int, batch: pa.RecordBatch, text_field: str) -> Rows:
    texts: list[str | None] = [None] * len(batch)
    faults: dict[int, str] = {}
    for at, value in enumerate(values_of(batch.column(text_field))):
        try:
            texts[at] = _text(value, text_field)
        except Unreadable as trouble:
            faults[at] = str(trouble)
    return Rows(first, texts, faults, batch)


def _text(value: object, text_field: str) -> str:
    if not isinstance(value, str):
        raise Unreadable(no_text(text_field, held_by(value)))
    if not value.strip():
        raise Unreadable(f"field {text_field!r} is empty")
    return value
