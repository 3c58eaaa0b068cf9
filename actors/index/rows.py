"""What a row of the index log is, in memory and as Arrow. Knows no file but by the name in its errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cluster.errors import UserError

ID = np.dtype("V12")
FORM = np.dtype("V16")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Consecutive rows: `ids` (n of 12 bytes), `forms` (n of 16 bytes) and `vectors` (n × d, float16)."""

    ids: NDArray[np.void]
    forms: NDArray[np.void]
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> Rows:
        """Rows `start` to `stop`, as views."""
        return Rows(self.ids[start:stop], self.forms[start:stop], self.vectors[start:stop])

    def copy_to(self, other: Rows) -> None:
        other.ids[:], other.forms[:], other.vectors[:] = self.ids, self.forms, self.vectors


def rows_of(ids: Sequence[bytes], forms: Sequence[bytes], vectors: NDArray[np.float16]) -> Rows:
    """Rows of as many ids, forms and vectors."""
    assert len(ids) == len(forms) == len(vectors), (len(ids), len(forms), len(vectors))
    return Rows(np.frombuffer(b"".join(ids), ID), np.frombuffer(b"".join(forms), FORM), vectors)


def empty_rows(count: int, dimension: int) -> Rows:
    """Room for `count` rows; their content is whatever lay there."""
    return Rows(np.empty(count, ID), np.empty(count, FORM), np.empty((count, dimension), np.float16))


def schema_of(model: str, dimension: int, note: dict[str, str] | None = None) -> pa.Schema:
    fields = [("persona_id", pa.binary(12)), ("form", pa.binary(16)), ("vector", pa.list_(pa.float16(), dimension))]
    return pa.schema(fields, metadata={"model": model} | (note or {}))


def check_schema(path: Path, schema: pa.Schema, model: str, dimension: int) -> None:
    """`UserError` where another model or dimension wrote the file."""
    written_by = (schema.metadata or {}).get(b"model", b"").decode()
    size = schema.field("vector").type.list_size
    if written_by != model or size != dimension:
        raise UserError(
            f"personas.dedup.model is {model} ({dimension} components) but {path} was written with {written_by} "
            f"({size}); keep the model, or start over with --fresh"
        )


def to_batch(rows: Rows, schema: pa.Schema) -> pa.RecordBatch:
    flat = pa.array(np.ascontiguousarray(rows.vectors).reshape(-1), type=pa.float16())
    arrays = [
        _fixed(rows.ids, schema.field("persona_id").type),
        _fixed(rows.forms, schema.field("form").type),
        pa.FixedSizeListArray.from_arrays(flat, rows.vectors.shape[1]),
    ]
    return pa.record_batch(arrays, schema=schema)


def from_batch(batch: pa.RecordBatch) -> Rows:
    """Views of the batch's own memory, which may be a mapped file."""
    vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=True).reshape(len(batch), -1)
    return Rows(_view(batch.column("persona_id"), ID), _view(batch.column("form"), FORM), vectors)


def _fixed(values: NDArray[np.void], kind: pa.DataType) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, pa.py_buffer(values.tobytes())])


def _view(column: pa.Array, kind: np.dtype[np.void]) -> NDArray[np.void]:
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * kind.itemsize)
