"""Shards of the dedup service as processes, killed for real while they decide."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import uuid

import numpy as np
import pytest
import ray

from actors.dedup_service import DedupClient, DedupService
from actors.logic.near_duplicates import Candidate, Thresholds
from cluster.named import Named, start

THRESHOLD, SIZE, SHARDS = 0.9, 16, 3
FOREVER = {"max_restarts": -1, "max_task_retries": -1, "num_cpus": 0}


def vector(text: str) -> np.ndarray:
    """Texts of the same first word are near one another, most of them."""
    group, _, rest = text.partition(" ")
    centre, own = (
        np.random.default_rng(int(hashlib.sha256(one.encode()).hexdigest()[:8], 16)) for one in (group, rest)
    )
    made = centre.normal(size=SIZE) + 0.25 * own.normal(size=SIZE)
    return (made / np.linalg.norm(made)).astype(np.float32)


class TextVectors:
    """An embedder whose vectors follow from the text alone."""

    def encode(self, texts):
        return np.stack([vector(text) for text in texts])

    def dimension(self):
        return SIZE


@pytest.fixture
def shards(tmp_path):
    namespace = uuid.uuid4().hex
    embedder = Named("embedder", namespace)
    names = [Named(f"dedup-{number}", namespace) for number in range(SHARDS)]
    handles = [start(TextVectors, embedder, num_cpus=0)]
    for number, name in enumerate(names):
        arguments = (Thresholds(THRESHOLD), [embedder], str(tmp_path / str(number)), "m", number, names)
        handles.append(start(DedupService, name, *arguments, **FOREVER))
    yield names
    for handle in handles:
        ray.kill(handle)


def test_of_near_ones_at_several_shards_exactly_one_stays_whoever_is_killed(shards):
    draw = random.Random(3)
    texts = [f"g{number % 40} variant {number}" for number in range(400)]
    asked = [Candidate(f"{at:024x}", text) for at, text in enumerate(texts)]
    draw.shuffle(asked)

    async def send(client, mine):
        return [verdict for at in range(0, len(mine), 4) for verdict in await client.admit(mine[at : at + 4])]

    async def kill():
        killed = 0
        while killed < 4:
            await asyncio.sleep(0.2)
            handle = draw.choice(shards).handle()
            os.kill(await handle.pid.remote(), signal.SIGKILL)
            killed += 1

    async def main():
        client = DedupClient(shards)
        await asyncio.gather(*(name.handle().size.remote() for name in shards))
        killer = asyncio.create_task(kill())
        parts = await asyncio.gather(*(send(client, asked[at::16]) for at in range(16)))
        await killer
        again = await client.admit(asked)
        sizes = await asyncio.gather(*(name.handle().size.remote() for name in shards))
        return [verdict for part in parts for verdict in part], again, sum(sizes)

    verdicts, again, size = asyncio.run(main())
    kept = {one.persona_id for one in verdicts if one.admitted}
    assert {one.persona_id for one in again if one.admitted} == kept and size == len(kept)
    held = np.stack([vector(texts[int(one, 16)]) for one in kept]).astype(np.float16).astype(np.float32)
    assert (held @ held.T - 2 * np.eye(len(kept))).max() < THRESHOLD
    assert {one.neighbour_id for one in verdicts if not one.admitted} <= kept
    assert 40 < len(kept) < 300
