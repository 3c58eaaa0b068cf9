"""The pool of embedders between real processes: as many as the texts want, and none of them outlives it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest
import ray
from jobs import actor_processes

from actors.embedder_pool import EmbedderPool
from actors.encoder import Encoding
from actors.logic.demand import Demand
from cluster.errors import UserError
from cluster.named import Named, as_raised, start

TEXTS = [f"A persona of number {at} who mends bicycles in a town by the sea." for at in range(512)]
NO_SHARE = {"num_cpus": 0}
LOCAL = Encoding()


@pytest.fixture
def pool() -> Iterator[Callable[..., object]]:
    started = []

    def begin(low: int, high: int, idle_s: float = 60.0, encoding: Encoding = LOCAL) -> object:
        named = Named("embedders", f"test-{uuid.uuid4().hex[:8]}")
        demand = Demand(low, high, idle_s)
        started.append(start(EmbedderPool, named, named.namespace, encoding, demand, NO_SHARE, num_cpus=0))
        return started[-1]

    yield begin
    for one in started:
        ray.kill(one)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_another_embedder_starts_while_texts_wait_and_is_ended_when_none_do(pool):
    embeds = pool(1, 2, idle_s=2.0)
    ray.get(embeds.dimension.remote())
    assert ray.get(embeds.size.remote()) == 1
    calls = [embeds.encode.remote(TEXTS)]

    def two_are_up() -> bool:
        done, calls[:] = ray.wait(calls, num_returns=len(calls), timeout=0)
        calls.extend(embeds.encode.remote(TEXTS) for _ in range(4 - len(calls)))
        assert all(ray.get(one).shape == (512, 384) for one in done)
        return ray.get(embeds.size.remote()) == 2

    wait_for(two_are_up)
    assert all(np.isfinite(vectors).all() for vectors in ray.get(calls))
    wait_for(lambda: ray.get(embeds.size.remote()) == 1)


def test_embedders_end_with_their_pool(pool, ray_of_the_session):
    def embedders() -> set[int]:
        pools = actor_processes(ray_of_the_session.pid, "EmbedderPool")
        return {one.pid for one in actor_processes(ray_of_the_session.pid, "Embedder") if one not in pools}

    wait_for(lambda: not embedders())
    embeds = pool(2, 2)
    ray.get(embeds.dimension.remote())
    assert len(embedders()) == 2
    psutil.Process(ray.get(embeds.pid.remote())).kill()
    wait_for(lambda: not embedders())


def test_a_model_that_cannot_be_loaded_is_refused_as_by_one_embedder(pool, tmp_path):
    embeds = pool(1, 2, encoding=Encoding(str(tmp_path)))
    with pytest.raises(UserError) as caught:
        ray.get(embeds.dimension.remote())
    assert str(as_raised(caught.value)).startswith("personas.dedup.model: cannot load")
