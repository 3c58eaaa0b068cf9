"""CSV: rows one by one, a broken one as a value among them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pipelines.sources.json_lines import read_lines
from pipelines.sources.record import MAX_RECORD, Unreadable


def csv_rows(stream: BinaryIO) -> Iterator[list[str] | csv.Error]:
    """The rows with something in them, header first; bytes that are not UTF-8 are lone surrogates in them."""
    csv.field_size_limit(MAX_RECORD)
    rows = csv.reader(_csv_lines(stream))
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield error
            continue
        if cells:
            yield cells


def _csv_lines(stream: BinaryIO) -> Iterator[str]:
    for _, line in read_lines(stream):
        if line is None:
            raise OSError(f"a line is longer than {MAX_RECORD >> 20} MiB")
        yield line.decode(errors="surrogateescape")


def csv_record(header: Sequence[str], cells: list[str] | csv.Error) -> dict[str, object]:
    if isinstance(cells, csv.Error):
        raise Unreadable(f"not CSV: {cells}")
    if any(cells[len(header) :]):
        raise Unreadable(f"the row has {len(cells)} cells under {len(header)} names; a comma without quotes?")
    for name, cell in zip(header, cells, strict=False):
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            raise Unreadable(f"not UTF-8: byte 0x{ord(cell[error.start]) & 0xFF:02x} in {name!r}") from error
    return dict(zip(header, cells, strict=False))
