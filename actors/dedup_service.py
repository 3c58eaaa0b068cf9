"""The actor that admits or refuses every persona of the corpus, at once and for good."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from actors.embedder import DEFAULT_MODEL, EmbedderClient
from actors.logic.near_duplicates import Candidate, Verdict
from actors.persona_index import IndexLog, PersonaIndex
from cluster.named import Named


class DedupService:
    """One writer over one index. What it admitted is in its log before it is answered, so a restarted service gives the
    answers that it gave before, and asking twice about the same persona gets the same answer."""

    def __init__(self, threshold: float, embedders: Sequence[Named], folder: str, model: str | None) -> None:
        self._threshold, self._handles = threshold, [one.handle() for one in embedders]
        self._embedder = EmbedderClient(self._handles)
        self._log = IndexLog(Path(folder), model or DEFAULT_MODEL)
        self._index: PersonaIndex | None = None
        self._opening = asyncio.Lock()
        self._last: asyncio.Future[None] | None = None

    async def admit(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Verdicts in the order of `candidates`, which are decided after those of all earlier calls. Texts whose form
        is known are not embedded."""
        before, self._last = self._last, asyncio.get_running_loop().create_future()
        mine = self._last
        try:
            index = await self._open()
            known = {one.persona_id: verdict for one in candidates if (verdict := index.exact(one))}
            unknown = [one for one in candidates if one.persona_id not in known]
            if unknown:
                vectors = await self._embedder.encode([one.text for one in unknown])
            if before:
                await before
            if unknown:
                known |= {verdict.persona_id: verdict for verdict in index.admit(unknown, vectors)}
            return [known[one.persona_id] for one in candidates]
        finally:
            mine.set_result(None)

    async def hold(self, candidates: Sequence[Candidate]) -> None:
        """Keep all of them, near-duplicates of each other too; only exact forms once."""
        index = await self._open()
        index.hold(candidates, await self._embedder.encode([one.text for one in candidates]))

    async def size(self) -> int:
        """Personas kept."""
        return len(await self._open())

    async def _open(self) -> PersonaIndex:
        async with self._opening:
            if self._index is None:
                dimension = await self._handles[0].dimension.remote()
                self._index = PersonaIndex(self._threshold, dimension, self._log)
            return self._index

    async def pid(self) -> int:
        return os.getpid()
