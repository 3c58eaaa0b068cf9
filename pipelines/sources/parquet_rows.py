"""Parquet: a file opened so that it is read in little memory, its columns, and values out of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.sources.byte_streams import BUFFER, open_raw
from pipelines.sources.files import SourceFile

PARQUET_BATCH = 4 << 20  # bytes of text, about


@contextmanager
def open_parquet(file: SourceFile) -> Iterator[pq.ParquetFile]:
    """Buffered and not read ahead: a row group of any size takes a few MiB of memory."""
    with open_raw(file.path, True) as raw, pq.ParquetFile(raw, pre_buffer=False, buffer_size=BUFFER) as parquet:
        yield parquet


def columns_of(parquet: pq.ParquetFile) -> dict[str, str]:
    """What each column holds, "" for text."""
    return {column.name: "" if _is_text(column.type) else str(column.type) for column in parquet.schema_arrow}


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain) or pa.types.is_string_view(plain))


def batch_rows(parquet: pq.ParquetFile, groups: Sequence[int]) -> int:
    """So few rows at a time that a batch of long texts stays small."""
    metadata = [parquet.metadata.row_group(at) for at in groups]
    longest = max((group.total_byte_size / max(1, group.num_rows) for group in metadata), default=1)
    return int(min(1024, max(1, PARQUET_BATCH / max(1, longest))))


def values_of(column: pa.Array) -> Iterable[object]:
    """Python values; in the place of a text that is not UTF-8, what is wrong with it."""
    try:
        values: list[object] = column.to_pylist()
        return values
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return error
