"""Several shards that decide at the same time, with late answers: no two near ones stay, and one always does."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from geometry import SIZE, groups

from actors.comparison import Marks
from actors.index import PersonaIndex
from actors.logic.near_duplicates import Candidate, Nearest, Reason, Thresholds, form_key
from actors.shard import Probed, Shard, Ticket

THRESHOLD = 0.9


class Late:
    """A shard as its peers reach it: every call and every answer takes a while."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self._cluster, self._number = cluster, number

    async def probe(self, ticket, marks):
        await self._cluster.pause()
        found = await self._cluster.shards[self._number].probe(ticket, marks)
        await self._cluster.pause()
        return found

    async def settled(self, ticket):
        await self._cluster.pause()
        await self._cluster.shards[self._number].settled(ticket)


class Cluster:
    """Shards over indexes in memory, in one process."""

    def __init__(
        self, count: int, vectors: np.ndarray, seed: int, texts: list[str] | None = None, minhash: float | None = None
    ) -> None:
        self.random, self._thresholds = random.Random(seed), Thresholds(THRESHOLD, minhash)
        texts = texts or [f"text {at}" for at in range(len(vectors))]
        self.vectors, self.embedded = dict(zip(texts, vectors, strict=True)), 0
        self.indexes = [PersonaIndex(SIZE, None, "m", minhash=minhash) for _ in range(count)]
        self.shards = [self._shard(number, index) for number, index in enumerate(self.indexes)]

    def _shard(self, number: int, index: PersonaIndex) -> Shard:
        peers = {other: Late(self, other) for other in range(len(self.indexes)) if other != number}
        return Shard(number, self._thresholds, index, self.encode, peers, ThreadPoolExecutor(1))

    async def pause(self) -> None:
        await asyncio.sleep(self.random.choice([0, 0, 0.001, 0.004]))

    async def encode(self, texts):
        await self.pause()
        self.embedded += len(texts)
        return np.stack([self.vectors[text] for text in texts])

    async def admit(self, candidates):
        homes = [form_key(one.text)[0] % len(self.shards) for one in candidates]
        parts = {home: [one for one, at in zip(candidates, homes, strict=True) if at == home] for home in set(homes)}
        await self.pause()
        answers = await asyncio.gather(*(self.shards[home].admit(part) for home, part in parts.items()))
        return [verdict for answer in answers for verdict in answer]


def check(cluster: Cluster, texts: dict[str, str], verdicts: list) -> None:
    kept = [one.persona_id for one in verdicts if one.admitted]
    vectors = np.stack([cluster.vectors[texts[one]] for one in kept]).astype(np.float16).astype(np.float32)
    cosines = vectors @ vectors.T - 2 * np.eye(len(kept), dtype=np.float32)
    assert cosines.max() < THRESHOLD
    assert sum(map(len, cluster.indexes)) == len(kept)
    for one in verdicts:
        if not one.admitted:
            near = cluster.vectors[texts[one.neighbour_id]] @ cluster.vectors[texts[one.persona_id]]
            assert one.neighbour_id in kept and one.score >= THRESHOLD
            assert near == pytest.approx(one.score, abs=3e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(6))
def test_of_near_ones_that_come_at_the_same_time_to_different_shards_exactly_one_stays(count, seed):
    vectors = groups(15, 8, seed)
    cluster = Cluster(count, vectors, seed)
    asked = [Candidate(f"{at:024x}", f"text {at}") for at in range(len(vectors))]
    cluster.random.shuffle(asked)

    async def main():
        senders = [asked[at::16] for at in range(16)]
        return await asyncio.wait_for(asyncio.gather(*(send(one) for one in senders)), 60)

    async def send(mine):
        batches = [mine[at : at + 3] for at in range(0, len(mine), 3)]
        return [verdict for batch in batches for verdict in await cluster.admit(batch)]

    verdicts = [verdict for part in asyncio.run(main()) for verdict in part]
    assert sorted(one.persona_id for one in verdicts) == sorted(one.persona_id for one in asked)
    check(cluster, {one.persona_id: one.text for one in asked}, verdicts)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_of_texts_of_the_same_words_at_different_shards_exactly_one_stays(count, seed):
    draw = random.Random(seed)
    words = [[f"word{group}x{at}" for at in range(12)] for group in range(20)]
    texts = [" ".join(draw.sample(words[at % 20], 12)) for at in range(120)]
    vectors = np.random.default_rng(seed).normal(size=(120, SIZE))
    cluster = Cluster(count, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), seed, texts, minhash=0.9)
    asked = [Candidate(f"{at:024x}", text) for at, text in enumerate(texts)]
    draw.shuffle(asked)

    async def main():
        return await asyncio.wait_for(asyncio.gather(*(cluster.admit(asked[at::16]) for at in range(16))), 60)

    verdicts = [verdict for part in asyncio.run(main()) for verdict in part]
    texts_of = {one.persona_id: one.text for one in asked}
    kept = [frozenset(texts_of[one.persona_id].split()) for one in verdicts if one.admitted]
    assert len(kept) == len(set(kept))
    by_words = [one for one in verdicts if one.reason is Reason.MINHASH]
    assert len(by_words) > 40
    assert all(set(texts_of[one.neighbour_id].split()) == set(texts_of[one.persona_id].split()) for one in by_words)


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_text_a_thousand_times_at_once_is_kept_once_and_hardly_embedded(count):
    cluster = Cluster(count, groups(1, 1), 0)
    asked = [Candidate(f"{at:024x}", "text 0") for at in range(1000)]

    async def main():
        first = await cluster.admit(asked[:1])
        rest = await asyncio.gather(*(cluster.admit(asked[at : at + 9]) for at in range(1, 1000, 9)))
        return first + [verdict for part in rest for verdict in part]

    verdicts = asyncio.run(main())
    assert [one.admitted for one in verdicts] == [True] + [False] * 999
    assert {(one.reason, one.neighbour_id) for one in verdicts[1:]} == {(Reason.EXACT, asked[0].persona_id)}
    assert cluster.embedded == 1


def test_an_embedder_that_fails_fails_its_own_call_alone():
    cluster = Cluster(1, groups(4, 1), 0)
    asked = [Candidate(f"{at:024x}", f"text {at}") for at in range(4)]

    async def main():
        unknown = Candidate(f"{9:024x}", "no vector has this text")
        calls = [cluster.admit([asked[0]]), cluster.admit([unknown]), cluster.admit([asked[1]])]
        return await asyncio.gather(*calls, return_exceptions=True)

    first, failed, last = asyncio.run(main())
    assert isinstance(failed, KeyError)
    assert [one.persona_id for one in first + last] == [asked[0].persona_id, asked[1].persona_id]


class Slow(PersonaIndex):
    """An index whose look-ups wait until they may go on."""

    def __init__(self) -> None:
        super().__init__(SIZE, None, "m")
        self.may_go_on = threading.Event()

    def nearest(self, vectors):
        self.may_go_on.wait(10)
        return super().nearest(vectors)


def test_a_lower_ticket_that_comes_while_the_own_look_up_is_under_way_is_waited_for():
    vectors = groups(1, 1)
    cluster = Cluster(2, vectors, 0)
    index, told = Slow(), []

    class Settling:
        async def probe(self, ticket, marks):
            return Probed({Reason.EMBEDDING: Nearest(np.full(len(marks), -1, np.float32), [""] * len(marks))})

        async def settled(self, ticket):
            told.append(ticket)

    shard = Shard(1, Thresholds(THRESHOLD), index, cluster.encode, {0: Settling()}, ThreadPoolExecutor(1))

    async def main():
        asked = asyncio.create_task(shard.admit([Candidate("0" * 24, "text 0")]))
        await asyncio.sleep(0.3)  # its peer has answered, its own look-up is under way
        earlier = asyncio.create_task(shard.probe(Ticket(0, 0), Marks(vectors.astype(np.float32))))
        await asyncio.sleep(0.1)
        index.may_go_on.set()
        await asyncio.gather(asked, earlier)

    asyncio.run(main())
    assert told == [Ticket(0, 0)]
