"""The actors that admit or refuse every persona of the corpus, at once and for good, and who asks them."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from actors.comparison import Marks
from actors.densities import measure, sample_of
from actors.embedder import EmbedderClient
from actors.index import PersonaIndex, Tiers
from actors.logic.density import Sample
from actors.logic.near_duplicates import Candidate, Thresholds, Verdict, form_key
from actors.shard import Probed, Shard, Ticket
from cluster.gathered import Gathered
from cluster.named import Named
from cluster.object_path import path_of

GATHER_S = 0.02


class DedupService:
    """Shard `number` of the service, one writer over one index; `names` are all shards, itself among them.

    What it admitted is in its log before it is answered, so a restarted service gives the answers that it gave before,
    and asking twice about the same persona gets the same answer.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        embedders: Sequence[Named],
        folder: str,
        model: str,
        number: int = 0,
        names: Sequence[Named] = (),
    ) -> None:
        self._thresholds, self._handles = thresholds, [one.handle() for one in embedders]
        self._folder, self._model = path_of(folder), model
        self._number, self._names = number, names
        self._index: PersonaIndex | None = None
        self._shard: Shard | None = None
        self._opening = asyncio.Lock()

    async def admit(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """As `Shard.admit`."""
        return await (await self._open()).admit(candidates)

    async def prepare(self, candidates: Sequence[Candidate]) -> None:
        """As `Shard.prepare`."""
        await (await self._open()).prepare(candidates)

    async def hold(self, candidates: Sequence[Candidate]) -> None:
        """As `Shard.hold`."""
        await (await self._open()).hold(candidates)

    async def probe(self, ticket: Ticket, marks: Marks) -> Probed:
        """As `Shard.probe`; vectors travel in half precision, which they are rounded to."""
        return await (await self._open()).probe(ticket, replace(marks, vectors=marks.vectors.astype(np.float32)))

    async def settled(self, ticket: Ticket) -> None:
        """As `Shard.settled`."""
        await (await self._open()).settled(ticket)

    async def size(self) -> int:
        """Personas kept."""
        await self._open()
        assert self._index is not None
        return len(self._index)

    async def _open(self) -> Shard:
        async with self._opening:
            if self._shard is None:
                dimension = await self._handles[0].dimension.remote()
                tiers, minhash = Tiers(cosine=self._thresholds.cosine), self._thresholds.minhash
                self._index = PersonaIndex(dimension, self._folder, self._model, tiers, minhash)
                peers = {number: _Peer(name) for number, name in enumerate(self._names) if number != self._number}
                encode = EmbedderClient(self._handles).encode
                thread = ThreadPoolExecutor(1, "index")
                self._shard = Shard(self._number, self._thresholds, self._index, encode, peers, thread)
            return self._shard

    async def sample(self, seed: int) -> Sample:
        """Some of the personas kept, for `measure`."""
        await self._open()
        assert self._index is not None
        return await asyncio.to_thread(sample_of, self._index, seed)

    async def measure(self, everybody: Sample) -> int:
        """Measures the density of a sample of the whole corpus around each persona kept, for `densities` to find; when
        nobody is admitted any more. Returns how many there are."""
        await self._open()
        assert self._index is not None
        return await asyncio.to_thread(measure, self._index, everybody, self._folder)

    async def pid(self) -> int:
        return os.getpid()


class _Peer:
    """Another shard, in its own process."""

    def __init__(self, name: Named) -> None:
        self._name = name

    @cached_property
    def _handle(self) -> Any:
        """Looked up when all are up; it outlives restarts."""
        return self._name.handle()

    async def probe(self, ticket: Ticket, marks: Marks) -> Probed:
        half: Any = marks.vectors.astype(np.float16)
        found: Probed = await self._handle.probe.remote(ticket, replace(marks, vectors=half))
        return found

    async def settled(self, ticket: Ticket) -> None:
        await self._handle.settled.remote(ticket)


class _Home:
    """A shard as its client sees it."""

    def __init__(self, name: Named, gather_s: float) -> None:
        self._handle = name.handle()
        self.admit = Gathered(self._admit, gather_s).get

    async def _admit(self, asked: Sequence[Sequence[Candidate]]) -> list[list[Verdict]]:
        verdicts = iter(await self._handle.admit.remote([one for candidates in asked for one in candidates]))
        return [list(itertools.islice(verdicts, len(candidates))) for candidates in asked]


class DedupClient:
    """Asks the shards: each candidate is decided at its home, which follows from its form. What a process asks within
    20 ms travels together; of n shards each gets a share of it, so there it is n times as long."""

    def __init__(self, shards: Sequence[Named]) -> None:
        self._homes = [_Home(one, GATHER_S * len(shards)) for one in shards]

    async def admit(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """Verdicts in the order of `candidates`."""
        homes = [home_of(one.text, len(self._homes)) for one in candidates]
        parts: dict[int, list[Candidate]] = defaultdict(list)
        for home, one in zip(homes, candidates, strict=True):
            parts[home].append(one)
        answers = await asyncio.gather(*(self._homes[home].admit(part) for home, part in parts.items()))
        verdicts = {home: iter(answer) for home, answer in zip(parts, answers, strict=True)}
        return [next(verdicts[home]) for home in homes]


def home_of(text: str, shards: int) -> int:
    """The number of the shard, of so many, that decides on a text."""
    return int.from_bytes(form_key(text)[:4], "big") % shards
