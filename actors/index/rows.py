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


@dataclass(frozen=True, slots=True)
class Layout:
    """What wrote a log's vectors, their components, and the bytes of a signature: 0 where none are kept."""

    model: str
    dimension: int
    signature: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Consecutive rows: `ids` (n of 12 bytes), `forms` (n of 16 bytes), `vectors` (n × d, float16) and `signatures`
    (n × s, uint8)."""

    ids: NDArray[np.void]
    forms: NDArray[np.void]
    vectors: NDArray[np.float16]
    signatures: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, start: int, stop: int) -> Rows:
        """Rows `start` to `stop`, as views."""
        part = slice(start, stop)
        return Rows(self.ids[part], self.forms[part], self.vectors[part], self.signatures[part])

    def copy_to(self, other: Rows) -> None:
        other.ids[:], other.forms[:] = self.ids, self.forms
        other.vectors[:], other.signatures[:] = self.vectors, self.signatures


def rows_of(
    ids: Sequence[bytes],
    forms: Sequence[bytes],
    vectors: NDArray[np.float16],
    signatures: NDArray[np.uint8] | None = None,
) -> Rows:
    """Rows of as many ids, forms, vectors and, where they are kept, signatures."""
    signatures = np.empty((len(ids), 0), np.uint8) if signatures is None else signatures
    assert len(ids) == len(forms) == len(vectors) == len(signatures), (len(ids), len(forms), len(vectors))
    return Rows(np.frombuffer(b"".join(ids), ID), np.frombuffer(b"".join(forms), FORM), vectors, signatures)


def empty_rows(count: int, layout: Layout) -> Rows:
    """Room for `count` rows; their content is whatever lay there."""
    vectors = np.empty((count, layout.dimension), np.float16)
    return Rows(np.empty(count, ID), np.empty(count, FORM), vectors, np.empty((count, layout.signature), np.uint8))


def schema_of(layout: Layout, note: dict[str, str] | None = None) -> pa.Schema:
    fields = [
        ("persona_id", pa.binary(12)),
        ("form", pa.binary(16)),
        ("vector", pa.list_(pa.float16(), layout.dimension)),
    ]
    if layout.signature:
        fields.append(("signature", pa.binary(layout.signature)))
    return pa.schema(fields, metadata={"model": layout.model} | (note or {}))


def layout_of(schema: pa.Schema) -> Layout:
    """What a file of this schema was written by."""
    signature = schema.field("signature").type.byte_width if "signature" in schema.names else 0
    model = (schema.metadata or {}).get(b"model", b"").decode()
    return Layout(model, schema.field("vector").type.list_size, signature)


def check_schema(path: Path, schema: pa.Schema, layout: Layout) -> None:
    """`UserError` where another model or dimension wrote the file, or it has signatures and should not, or has not."""
    written = layout_of(schema)
    if (written.model, written.dimension) != (layout.model, layout.dimension):
        raise UserError(
            f"personas.dedup.model is {layout.model} ({layout.dimension} components) but {path} was written with "
            f"{written.model} ({written.dimension}); keep the model, or start over with --fresh"
        )
    if bool(written.signature) != bool(layout.signature):
        said = ("set", "without") if layout.signature else ("not set", "with")
        raise UserError(
            f"personas.dedup.minhash is {said[0]} but {path} was written {said[1]} it; keep it, or start over with "
            "--fresh"
        )


def to_batch(rows: Rows, schema: pa.Schema) -> pa.RecordBatch:
    flat = pa.array(np.ascontiguousarray(rows.vectors).reshape(-1), type=pa.float16())
    arrays = [
        _fixed(rows.ids, schema.field("persona_id").type),
        _fixed(rows.forms, schema.field("form").type),
        pa.FixedSizeListArray.from_arrays(flat, rows.vectors.shape[1]),
    ]
    if rows.signatures.shape[1]:
        arrays.append(_fixed(rows.signatures, schema.field("signature").type))
    return pa.record_batch(arrays, schema=schema)


def from_batch(batch: pa.RecordBatch) -> Rows:
    """Views of the batch's own memory, which may be a mapped file."""
    vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=True).reshape(len(batch), -1)
    signatures = np.empty((len(batch), 0), np.uint8)
    if "signature" in batch.schema.names:
        column = batch.column("signature")
        signatures = _view(column, np.dtype(f"V{column.type.byte_width}")).view(np.uint8).reshape(len(batch), -1)
    return Rows(_view(batch.column("persona_id"), ID), _view(batch.column("form"), FORM), vectors, signatures)


def _fixed(values: NDArray[np.generic], kind: pa.DataType) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, pa.py_buffer(values.tobytes())])


def _view(column: pa.Array, kind: np.dtype[np.void]) -> NDArray[np.void]:
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * kind.itemsize)
