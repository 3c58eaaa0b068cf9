"""The actor that owns documents' persona pools: grows them through the callers, and writes them out when done.

It holds only the documents in growth; a finished batch is on disk and out of memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from actors.dedup_service import DedupClient
from actors.embedder import EmbedderClient
from actors.index import PersonaIndex
from actors.logic import tables
from actors.logic.growth import NOBODY, GrowthRule, Tree, grow
from actors.logic.near_duplicates import ADMITTED, WANTED, Candidate, Reason, Scope, Thresholds, Verdict, form_key
from actors.shard import Shard
from cluster.caller_pool import CallerPool
from cluster.errors import Halt
from cluster.meter import Tally
from cluster.named import Named, as_raised
from cluster.object_path import path_of
from cluster.parts import write_part
from cluster.sight import check_seen


@dataclass(frozen=True, slots=True)
class Links:
    """The actors that a pool works with; `dedup` is empty where no service decides for the whole corpus."""

    callers: Sequence[Named]
    embedders: Sequence[Named]
    dedup: list[Named]
    meter: Named


@dataclass(frozen=True, slots=True)
class PersonaPart:
    """What a batch of documents became; the manifest's entry. `halted` is set where nothing was written.

    `characters` are those of the documents as they were used, and of the `generated` ones among them. `funnel` counts
    candidates by depth and by what became of them: "0 admitted", "0 exact", "1 embedding".
    """

    name: str
    documents: int
    active: int
    personas: int
    rejected: int
    failures: int
    truncated: int = 0
    generated: int = 0
    characters: int = 0
    characters_generated: int = 0
    funnel: dict[str, int] = field(default_factory=dict)
    halted: str = ""


class PersonaPool:
    """Grows batches of the documents that it owns."""

    def __init__(self, run_dir: str, rule: GrowthRule, scope: Scope, thresholds: Thresholds, links: Links) -> None:
        self._run_dir, self._rule, self._scope, self._thresholds = path_of(run_dir), rule, scope, thresholds
        self._callers = CallerPool(links.callers)
        self._embedder = EmbedderClient([one.handle() for one in links.embedders])
        self._dedup, self._links = DedupClient(links.dedup), links
        self._thread = ThreadPoolExecutor(1, "index")
        self._dimension: int | None = None
        self._tally = Tally(links.meter.handle())

    async def grow(self, documents: pa.Table) -> PersonaPart:
        """Grow every document of the batch and write its parts: `documents`, `rejected`, `failures`, last `personas`.

        The part's name is a digest of its document ids, so the same batch done again replaces itself.
        """
        rows = documents.to_pylist()
        name = hashlib.sha256("\n".join(row["document_id"] for row in rows).encode()).hexdigest()[:16]
        try:
            check_seen(self._run_dir)
            trees = await asyncio.gather(*(self._tree(row["document_id"], row["text"]) for row in rows))
        except Halt as halt:  # of the dedup service or an embedder
            return PersonaPart(name, 0, 0, 0, 0, 0, halted=str(as_raised(halt)))
        await self._tally.flush()
        if halted := next((tree.halted for tree in trees if tree.halted), ""):
            return PersonaPart(name, 0, 0, 0, 0, 0, halted=halted)
        try:
            return await asyncio.to_thread(self._write, name, documents, trees)
        except Halt as halt:
            return PersonaPart(name, 0, 0, 0, 0, 0, halted=str(halt))

    async def _tree(self, document_id: str, text: str) -> Tree:
        tree = await grow(document_id, text, self._rule, self._callers.run, await self._admitter(), time.time)
        if not tree.halted:
            self._tally.add(
                documents_done=1,
                documents_failed=int(not tree.personas and self._rule.depth != NOBODY),
                personas_admitted=len(tree.personas),
                personas_rejected=len(tree.rejected),
                failures=len(tree.failures),
            )
        return tree

    async def _admitter(self) -> _Admitter:
        if self._scope is Scope.CORPUS:
            return self._dedup.admit
        if self._scope is Scope.NONE:
            return _ExactOnly().admit
        if self._dimension is None:
            self._dimension = await self._links.embedders[0].handle().dimension.remote()
        minhash = self._thresholds.minhash
        index = PersonaIndex(self._dimension, None, "of the embedder", minhash=minhash)  # for one document's pool alone
        return Shard(0, self._thresholds, index, self._embedder.encode, {}, self._thread).admit

    def _write(self, name: str, documents: pa.Table, trees: Sequence[Tree]) -> PersonaPart:
        kept = [one for tree in trees for one in tree.personas]
        refused = [one for tree in trees for one in tree.rejected]
        failed = [one for tree in trees for one in tree.failures]
        write_part(self._run_dir / "documents", name, documents.select(tables.DOCUMENTS.names).cast(tables.DOCUMENTS))
        if refused:
            write_part(self._run_dir / "rejected", name, tables.rejected(refused))
        if failed:
            write_part(self._run_dir / "failures", name, tables.failures(failed))
        write_part(self._run_dir / "personas", name, tables.personas(kept))
        active = len(trees) if self._rule.depth == NOBODY else sum(bool(tree.personas) for tree in trees)
        generated = documents.column("generated").to_numpy(zero_copy_only=False)
        lengths = pc.utf8_length(documents.column("text")).to_numpy()
        funnel = Counter(f"{one.depth} {ADMITTED}" for one in kept)
        funnel.update(f"{one.persona.depth} {one.reason}" for one in refused)
        funnel.update(f"{depth} {WANTED}" for tree in trees for depth in tree.wanted.elements())
        return PersonaPart(
            name=name,
            documents=len(trees),
            active=active,
            personas=len(kept),
            rejected=len(refused),
            failures=len(failed),
            truncated=sum(documents.column("truncated").to_pylist()),
            generated=int(generated.sum()),
            characters=int(lengths.sum()),
            characters_generated=int(lengths[generated].sum()),
            funnel=dict(funnel),
        )

    async def pid(self) -> int:
        return os.getpid()


_Admitter = Callable[[Sequence[Candidate]], Awaitable[list[Verdict]]]


class _ExactOnly:
    """Scope `none`: exact repeats within one document's pool, nothing else."""

    def __init__(self) -> None:
        self._holders: dict[bytes, str] = {}

    async def admit(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        return [self._verdict(one) for one in candidates]

    def _verdict(self, one: Candidate) -> Verdict:
        holder = self._holders.setdefault(form_key(one.text), one.persona_id)
        return (
            Verdict(one.persona_id) if holder == one.persona_id else Verdict(one.persona_id, Reason.EXACT, holder, 1.0)
        )
