"""Documents to personas: streams documents to the pools that own them, in bounded batches, and records what is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from actors.logic import tables
from actors.logic.depth import pool_size
from actors.logic.document import digest
from actors.logic.growth import Failure, GrowthRule
from actors.persona_pool import PersonaPart
from cluster.errors import Halt
from cluster.local_copies import readable, scratch
from cluster.manifest import Manifest
from cluster.parts import part_path, write_part
from cluster.seen_set import SeenSet
from pipelines.batching import batches_personas, in_flight
from pipelines.progress import RunView
from pipelines.run_folder import SOURCE_FAILURES
from pipelines.services import Services
from pipelines.settings import Settings
from pipelines.sources import Split
from pipelines.sources.document_stream import stream, take_documents

_PART_PERSONAS = 10_000
_PART_DOCUMENTS = 500
_PART_BYTES = 4 * 2**20
_IN_FLIGHT = 2  # batches per pool: the tail of one overlaps the head of the next
_FAILURES_KEPT = 10_000


def grow_personas(
    settings: Settings, manifest: Manifest, services: Services, splits: list[Split], view: RunView
) -> None:
    """Grow every document that the manifest does not count as done. `Halt` when the run cannot go on."""
    rule = GrowthRule.of(manifest.facts["growth"])
    total = manifest.facts["documents_counted"]
    view.begin("personas", "documents_done", manifest.personas.total("documents"), total)
    with services.persona_pools(settings, settings.folder, rule) as pools:
        try:
            at_once = in_flight(_IN_FLIGHT, batches_personas(settings), len(pools))
            _Flow(settings, manifest, pools, rule, view, at_once).run(splits)
        finally:
            manifest.save()
    manifest.personas.done = True
    manifest.save()
    services.settle()
    view.end(manifest.personas.total("documents"))


@dataclass(slots=True)
class _Buffer:
    """Documents that wait to fill a batch for one pool."""

    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def add(self, table: pa.Table) -> None:
        self.tables.append(table)
        self.rows += len(table)
        self.size += table.nbytes

    def batch(self) -> pa.Table:
        whole = pa.concat_tables(self.tables).combine_chunks()
        self.tables, self.rows, self.size = [], 0, 0
        return whole


class _Flow:
    """One pass over the documents. Holds `in_flight` batches and a little more for each pool, whatever the corpus."""

    def __init__(
        self,
        settings: Settings,
        manifest: Manifest,
        pools: list[Any],
        rule: GrowthRule,
        view: RunView,
        in_flight: int = _IN_FLIGHT,
    ) -> None:
        self._settings, self._manifest, self._pools, self._view = settings, manifest, pools, view
        self._in_flight = in_flight
        pool = pool_size(rule.depth, rule.per_call, rule.given)
        self._batch_rows = max(1, min(_PART_DOCUMENTS, _PART_PERSONAS // max(1, pool)))
        self._buffers = [_Buffer() for _ in pools]
        self._pending: dict[Any, int] = {}
        self._bad: list[Failure] = []
        self._facts: Counter[str] = Counter()
        limit = settings.documents.limit
        self._room = None if limit is None else limit - manifest.personas.total("documents")

    def run(self, splits: list[Split]) -> None:
        settings = self._settings.documents
        with SeenSet(scratch(self._settings.folder) / ".seen") as seen:
            for digests in done_documents(self._settings.folder, self._manifest):
                seen.add_new(digests)
            documents = stream(
                splits,
                text_field=settings.text_field,
                id_field=settings.id_field,
                max_characters=self._manifest.facts["document_characters"],
                limit=settings.limit,
                kind=settings.kind,
                refuse_generated=settings.generated == "refuse",
            )
            for table in take_documents(documents, settings.limit):
                self._take(table, seen)
                while self._collect(timeout_s=0):
                    pass
                self._view.raise_fault()
            # what an earlier session finished is among the seen ones, so that reading it again is no repetition
            self._facts["documents_repeated"] = max(0, self._facts["documents_read"] - len(seen))
        for owner in range(len(self._pools)):
            self._send(owner)
        while self._pending:
            self._collect()
        self._note_bad_documents()

    def _take(self, table: pa.Table, seen: SeenSet) -> None:
        good = table.column("error_kind").is_null()
        self._keep_failures(table.filter(pa.compute.invert(good)))
        table = table.filter(good)
        digests = table.column("digest").to_numpy()
        new = seen.add_new(digests)
        if self._room is not None:  # files that came may lie before those that were read
            new &= new.cumsum() <= self._room
            self._room -= int(new.sum())
        self._facts["documents_read"] += len(table)
        owners = digests % len(self._pools)
        for owner, buffer in enumerate(self._buffers):
            mine = table.filter(pa.array(new & (owners == owner)))
            for start in range(0, len(mine), self._batch_rows):
                buffer.add(mine.slice(start, self._batch_rows))
                if buffer.rows >= self._batch_rows or buffer.size >= _PART_BYTES:
                    self._send(owner)

    def _send(self, owner: int) -> None:
        """Hand the owner its batch, once it has fewer unfinished ones than it may."""
        if not self._buffers[owner].rows:
            return
        while sum(one == owner for one in self._pending.values()) >= self._in_flight:
            self._collect()
        self._pending[self._pools[owner].grow.remote(self._buffers[owner].batch())] = owner

    def _collect(self, timeout_s: float | None = None) -> bool:
        """Record one finished batch; False where none finished in time."""
        done, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout_s) if self._pending else ([], [])
        if not done:
            return False
        [ready] = done
        del self._pending[ready]
        part: PersonaPart = ray.get(ready)
        if part.halted:
            raise Halt(part.halted)
        counts = {name: value for name, value in asdict(part).items() if isinstance(value, int)}
        self._manifest.personas.parts[part.name] = counts | part.funnel
        self._manifest.save(now=False)
        self._view.raise_fault()
        return True

    def _keep_failures(self, bad: pa.Table) -> None:
        self._facts["documents_unreadable"] += len(bad)
        for row in bad.slice(0, _FAILURES_KEPT - len(self._bad)).to_pylist():
            self._bad.append(Failure(row["source"], "documents", row["error_kind"], row["error_message"], 1))

    def _note_bad_documents(self) -> None:
        self._manifest.facts |= dict(self._facts)
        if self._bad:
            write_part(self._settings.folder / "failures", SOURCE_FAILURES, tables.failures(self._bad))


def done_documents(folder: Path, manifest: Manifest) -> Iterator[np.ndarray[Any, np.dtype[np.uint64]]]:
    """Digests of the documents in the parts that count, part by part."""
    for name in manifest.personas.parts:
        ids = (
            pq.read_table(readable(part_path(folder / "documents", name)), columns=["document_id"])
            .column(0)
            .to_pylist()
        )
        yield np.array([digest(one) for one in ids], dtype=np.uint64)
