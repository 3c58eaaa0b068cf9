"""The actor that finds passages of a run's documents by their vectors.

Passages and vectors lie in one file a part, `retrieval/part-NAME-CHARACTERS.arrow`, which is written once and mapped.
In memory are codes alone: half floats (2 bytes a component) up to `_FLAT` passages, a byte a component beyond.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from actors.embedder import EmbedderClient
from actors.logic.retrieval import Passage, passages
from cluster.files import atomic_path
from cluster.gathered import Gathered
from cluster.local_copies import local_copy, readable
from cluster.named import Named
from cluster.object_path import path_of
from cluster.parts import part_path

FOLDER = "retrieval"
_FLAT = 100_000
_TEXTS_AT_ONCE = 1024
_TRAINING_ROWS_PER_LIST = 64
_LISTS_SEARCHED = 16
_MOST_FOUND = 50


class Retriever:
    """Passages of the documents in `parts`. What is there already is not embedded again."""

    def __init__(self, run_dir: str, parts: Sequence[str], characters: int, embedders: Sequence[Named]) -> None:
        self._run_dir, self._parts, self._characters = path_of(run_dir), parts, characters
        self._embedder = EmbedderClient([one.handle() for one in embedders])
        self._opened: asyncio.Task[None] | None = None
        self._found = Gathered(self._search)
        self._tables: list[pa.Table] = []
        self._starts = np.zeros(0, np.int64)
        self._index: Any = None

    async def size(self) -> int:
        """Passages, once all are there. `Halt` where they cannot be written."""
        await self._open()
        return sum(map(len, self._tables))

    async def find(self, query: str, top_k: int) -> list[Passage]:
        """The `top_k` nearest to the query, the nearest first."""
        await self._open()
        rows = await self._found.get(query)
        return [self._passage(int(row)) for row in rows[:top_k] if row >= 0]

    async def pid(self) -> int:
        return os.getpid()

    async def _open(self) -> None:
        if self._opened is None or (self._opened.done() and self._opened.exception()):
            self._opened = asyncio.ensure_future(self._build())
        await asyncio.shield(self._opened)

    async def _build(self) -> None:
        self._tables = []
        folder = self._run_dir / FOLDER
        for name in self._parts:
            path = folder / f"part-{name}-{self._characters}.arrow"
            if not path.exists():
                await self._write(name, path)
            self._tables.append(pa.ipc.open_file(pa.memory_map(str(local_copy(path)))).read_all())
        self._starts = np.cumsum([0, *map(len, self._tables)])
        self._index = await asyncio.to_thread(self._indexed)

    async def _write(self, name: str, path: Path) -> None:
        table = pq.read_table(readable(part_path(self._run_dir / "documents", name)), columns=["document_id", "text"])
        found = [
            one for row in table.to_pylist() for one in passages(row["document_id"], row["text"], self._characters)
        ]
        texts = [one.text for one in found]
        batches = [texts[at : at + _TEXTS_AT_ONCE] for at in range(0, len(texts), _TEXTS_AT_ONCE)]
        vectors = np.concatenate([await self._embedder.encode(batch) for batch in batches]).astype(np.float16)
        columns = {
            "passage_id": pa.array([one.passage_id for one in found]),
            "text": pa.array(texts),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
        }
        whole = pa.table(columns)
        with (
            atomic_path(path) as free,
            pa.OSFile(str(free), "wb") as file,
            pa.ipc.new_file(file, whole.schema) as writer,
        ):
            writer.write_table(whole)

    def _indexed(self) -> Any:
        faiss.omp_set_num_threads(1)  # this thread's
        count = int(self._starts[-1])
        first = next(self._vectors())
        kind = "SQfp16" if count <= _FLAT else f"IVF{(lists := int(4 * count**0.5))},SQ8"
        index: Any = faiss.index_factory(first.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if count > _FLAT:
            step = max(1, count // (lists * _TRAINING_ROWS_PER_LIST))
            index.train(np.concatenate([one[::step] for one in self._vectors()]))
            index.nprobe = _LISTS_SEARCHED
        for vectors in self._vectors():
            index.add(vectors)
        return index

    def _vectors(self) -> Iterator[NDArray[np.float32]]:
        for table in self._tables:
            for batch in table.select(["vector"]).to_batches(_TEXTS_AT_ONCE):
                column = batch.column(0)
                values = column.flatten().to_numpy(zero_copy_only=False)
                yield values.reshape(len(batch), column.type.list_size).astype(np.float32)

    async def _search(self, queries: Sequence[str]) -> Sequence[NDArray[np.int64]]:
        vectors = await self._embedder.encode(list(queries))
        return list(await asyncio.to_thread(self._nearest, vectors))

    def _nearest(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        faiss.omp_set_num_threads(1)  # this thread's
        rows: NDArray[np.int64] = self._index.search(vectors, _MOST_FOUND)[1]
        return rows

    def _passage(self, row: int) -> Passage:
        at = int(np.searchsorted(self._starts, row, side="right")) - 1
        found = self._tables[at].slice(row - int(self._starts[at]), 1)
        return Passage(found.column("passage_id")[0].as_py(), found.column("text")[0].as_py())


@dataclass(frozen=True, slots=True)
class RunRetriever:
    """The run's own, as dialogues hold it."""

    actor: Named
    top_k: int

    async def find(self, query: str) -> list[Passage]:
        return list(await _handle(self.actor).find.remote(query, self.top_k))


@cache
def _handle(actor: Named) -> Any:
    return actor.handle()
