"""Which personas of a document's pool speak, and how many rows each document owes.

Everything is derived from its arguments: the same seed gives the same choice on one node or on a hundred.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum


class Sampling(StrEnum):
    """The rule by which a pool is drawn from."""

    DEPTH_WEIGHTED = "depth_weighted"
    UNIFORM = "uniform"


def derived_rng(seed: int, *identity: str | int) -> random.Random:
    """A generator for one purpose, e.g. `derived_rng(seed, document_id, "sampling")`; never a global one."""
    text = "\x1f".join(map(str, (seed, *identity)))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def share(total: int, index: int, parts: int) -> int:
    """What the `index`-th of `parts` equal documents owes of `total` rows; the shares add up to `total`."""
    return (index + 1) * total // parts - index * total // parts


def draw(depths: Sequence[int], rows: int, sampling: Sampling, rng: random.Random, already: int = 0) -> list[int]:
    """Indexes into a pool (given by the depth of each persona) for `rows` rows, in the order in which they speak.

    Target within the pool: the shallowest `rows` personas, once each, in pool order within a layer; the first `already`
    of that order have spoken before and are left out.
    Target above the pool: personas are reused with weight (max_depth − depth + 1) ÷ size of the layer, so that five
    layers carry 5:4:3:2:1 of the rows whatever their sizes; `uniform` gives every persona the same weight.
    The reuse is a systematic sample: each persona comes floor or ceil of its expected number of times.
    """
    if not depths or rows <= 0:
        return []
    if already + rows <= len(depths):
        return _first(depths, already + rows, sampling, rng)[already:]
    picks = _systematic(weights(depths, sampling), rows, rng)
    rng.shuffle(picks)
    return picks


def weights(depths: Sequence[int], sampling: Sampling) -> list[float]:
    """One weight per persona, summing to 1."""
    if sampling is Sampling.UNIFORM:
        return [1 / len(depths)] * len(depths)
    sizes, deepest = Counter(depths), max(depths)
    raw = [(deepest - depth + 1) / sizes[depth] for depth in depths]
    total = sum(raw)
    return [weight / total for weight in raw]


def _first(depths: Sequence[int], rows: int, sampling: Sampling, rng: random.Random) -> list[int]:
    if sampling is Sampling.UNIFORM:
        order = list(range(len(depths)))
        rng.shuffle(order)
        return order[:rows]
    return sorted(range(len(depths)), key=depths.__getitem__)[:rows]


def _systematic(weights: Sequence[float], rows: int, rng: random.Random) -> list[int]:
    picks: list[int] = []
    position, reached = rng.random(), 0.0
    for index, weight in enumerate(weights):
        reached += weight * rows
        while position < reached and len(picks) < rows:
            picks.append(index)
            position += 1.0
    return picks + [len(weights) - 1] * (rows - len(picks))  # the last sum may fall short by rounding
