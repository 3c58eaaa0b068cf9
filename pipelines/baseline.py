"""Asks the model for people without a document, as often as a config wants, and has their descriptions embedded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actors.embedder import EmbedderClient
from actors.logic.baseline import BaselineCall, baseline_calls
from actors.logic.growth import GrowthRule
from cluster.caller_pool import CallerPool
from cluster.errors import Halt
from cluster.named import Named
from cluster.program import Done, Halted
from pipelines.services import Services

_AT_ONCE = 256  # texts in a call to an embedder


def baseline_vectors(people: int, rule: GrowthRule, services: Services) -> NDArray[np.float32]:
    """Unit vectors of at most so many people, fewer where calls failed or brought fewer. `Halt` where the run cannot
    go on. What was asked before is in the journal."""
    calls = baseline_calls(people, rule.per_call, rule.granularity, rule.seed, rule.one_per_request)
    vectors = asyncio.run(_vectors(calls, people, services.callers(batched=False), services.links.embedders))
    services.settle()
    return vectors


async def _vectors(
    calls: Sequence[BaselineCall], people: int, callers: Sequence[Named], embedders: Sequence[Named]
) -> NDArray[np.float32]:
    pool = CallerPool(callers)
    outcomes = await asyncio.gather(*(pool.run(call) for call in calls))
    if halted := next((one for one in outcomes if isinstance(one, Halted)), None):
        raise Halt(halted.reason)
    answers: list[Any] = [one.value for one in outcomes if isinstance(one, Done)]
    texts = [text for answer in answers for text in answer][:people]
    client = EmbedderClient([one.handle() for one in embedders])
    parts = [client.encode(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
    return np.concatenate([np.empty((0, 0), np.float32)] if not parts else await asyncio.gather(*parts))
