"""Documents as a Ray Data stream: splits in, small Arrow tables out, always in the order of the splits.

Knows how reading is spread and held back; what is in a file is for `sources` to know. Starts no Ray of its own.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import ray.data
from ray.data import DataContext

from actors.logic.document import BadDocument, Document, DocumentKind, digest
from cluster.session import data_context
from pipelines.sources.reading import Found, read_split
from pipelines.sources.splits import Split

SCHEMA = pa.schema(
    [
        ("document_id", pa.string()),
        ("digest", pa.uint64()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("characters", pa.int64()),
        ("truncated", pa.bool_()),
        ("generated", pa.bool_()),
        ("error_kind", pa.string()),
        ("error_message", pa.string()),
    ]
)
ROWS = 256  # of a table at most
BYTES = 1 << 20  # of a block, about
TASKS = 10_000  # at most; beyond, a task reads several splits
CPUS = 0.5  # of a task: reading is to leave room for the actors


def stream(
    splits: Sequence[Split],
    *,
    text_field: str,
    id_field: str | None,
    max_characters: int,
    limit: int | None,
    kind: DocumentKind = DocumentKind.TEXT,
    refuse_generated: bool = False,
    concurrency: int | None = None,
) -> ray.data.Dataset:
    """The documents of the splits, lazily, in blocks of about a MiB with the columns of SCHEMA.

    A bad document has an error, no text, and its source for an id. `limit` only keeps a task from reading on in vain:
    the stream may hold more, and `take_documents` counts. `concurrency` None: as many tasks as find free CPUs.
    """
    read_one = partial(
        read_split,
        text_field=text_field,
        id_field=id_field,
        max_characters=max_characters,
        kind=kind,
        refuse_generated=refuse_generated,
    )
    read = partial(_tables, read_one=read_one, limit=limit)
    with DataContext.current(_context()):
        if not splits:
            return ray.data.from_arrow(SCHEMA.empty_table())
        items = ray.data.from_items(
            [{"split": pickle.dumps(split)} for split in splits], override_num_blocks=min(len(splits), TASKS)
        )
        return items.map_batches(read, batch_size=None, batch_format="pyarrow", num_cpus=CPUS, concurrency=concurrency)


def take_documents(documents: ray.data.Dataset, limit: int | None) -> Iterator[pa.Table]:
    """Tables of at most ROWS rows up to and with the good document number `limit`, which ends the stream's tasks."""
    blocks = iter(documents.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
    try:
        yield from first_good((table for block in blocks for table in _slices(block)), limit)
    finally:
        blocks.close()


def first_good(tables: Iterator[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    """The tables up to and with the good document number `limit`; bad ones on the way come along and do not count."""
    left = limit
    for table in tables:
        if left is None:
            yield table
            continue
        good = pc.indices_nonzero(pc.is_null(table["error_kind"]))
        if len(good) >= left:
            if left:
                yield table.slice(0, good[left - 1].as_py() + 1)
            return
        left -= len(good)
        yield table


def _slices(block: pa.Table) -> Iterator[pa.Table]:
    return (block.slice(begin, ROWS) for begin in range(0, block.num_rows, ROWS))


def _context() -> DataContext:
    """This stream's own settings; the process's stay as they are."""
    context = data_context()
    context.target_max_block_size = BYTES
    return context


def _tables(batch: pa.Table, *, read_one: Callable[[Split], Found], limit: int | None) -> Iterator[pa.Table]:
    splits = (pickle.loads(split) for split in batch["split"].to_pylist())
    found = (item for split in splits for item in read_one(split))
    yield from first_good(_packed(found), limit)


def _packed(found: Found) -> Iterator[pa.Table]:
    rows: list[_Row] = []
    size = 0
    for item in found:
        rows.append(_row(item))
        size += len(rows[-1].text)
        if len(rows) == ROWS or size >= BYTES:
            yield _table(rows)
            rows, size = [], 0
    yield _table(rows)


class _Row(NamedTuple):
    """In the order of SCHEMA."""

    document_id: str
    digest: int
    text: str
    source: str
    characters: int
    truncated: bool
    generated: bool
    error_kind: str | None = None
    error_message: str | None = None


def _row(item: Document | BadDocument) -> _Row:
    if isinstance(item, BadDocument):
        return _Row(item.source, digest(item.source), "", item.source, 0, False, False, item.kind.value, item.message)
    number = digest(item.document_id)
    return _Row(item.document_id, number, item.text, item.source, item.characters, item.truncated, item.generated)


def _table(rows: Sequence[_Row]) -> pa.Table:
    if not rows:
        return SCHEMA.empty_table()
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)],
        schema=SCHEMA,
    )
