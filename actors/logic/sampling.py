"""Which personas of a document's pool speak.

Everything is derived from its arguments: the same seed gives the same choice on one node or on a hundred.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from itertools import accumulate
from math import gcd


class Sampling(StrEnum):
    """The rule by which a pool is drawn from."""

    DEPTH_WEIGHTED = "depth_weighted"
    UNIFORM = "uniform"
    COVERAGE = "coverage"


def derived_rng(seed: int, *identity: str | int) -> random.Random:
    """A generator for one purpose, e.g. `derived_rng(seed, document_id, "sampling")`; never a global one."""
    text = "\x1f".join(map(str, (seed, *identity)))
    return random.Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))


def draw(
    depths: Sequence[int],
    rows: int,
    sampling: Sampling,
    rng: random.Random,
    already: int = 0,
    densities: Sequence[int] = (),
    wanted: range | None = None,
) -> list[int]:
    """Indexes into a pool (given by the depth of each persona) for `rows` rows, in the order in which they speak.

    Target within the pool: everyone once, the shallowest first and in pool order within a layer; by `uniform` in any
    order; by `coverage` in one in which each next speaker is drawn with a chance inverse to its density. The first
    `already` of that order have spoken before and are left out.
    Target above the pool: personas are reused by their `weights`, in a systematic sample: each persona comes floor or
    ceil of its expected number of times, and any stretch of rows is spread over the whole pool.
    `wanted` picks some of the rows, at O(log n) each beyond one pass over the pool.
    """
    if not depths or rows <= 0:
        return []
    wanted = range(rows) if wanted is None else wanted
    if already + rows <= len(depths):
        order = _order(depths, sampling, rng, densities)
        return [order[already + row] for row in wanted]
    return _systematic(weights(depths, sampling, densities), rows, rng, wanted)


def weights(depths: Sequence[int], sampling: Sampling, densities: Sequence[int] = ()) -> list[float]:
    """One weight per persona, summing to 1.

    `depth_weighted`: (max_depth − depth + 1) ÷ size of the layer, so that five layers carry 5:4:3:2:1 of the rows
    whatever their sizes. `coverage`: 1 ÷ density, so that each kind of people carries the same, however many they are.
    """
    if sampling is Sampling.UNIFORM:
        return [1 / len(depths)] * len(depths)
    if sampling is Sampling.COVERAGE:
        raw = [1 / density for density in densities]
    else:
        sizes, deepest = Counter(depths), max(depths)
        raw = [(deepest - depth + 1) / sizes[depth] for depth in depths]
    total = sum(raw)
    return [weight / total for weight in raw]


def _order(depths: Sequence[int], sampling: Sampling, rng: random.Random, densities: Sequence[int]) -> list[int]:
    order = list(range(len(depths)))
    match sampling:
        case Sampling.UNIFORM:
            rng.shuffle(order)
        case Sampling.COVERAGE:  # the order in which exponential clocks ring (Efraimidis and Spirakis 2006)
            rings = [rng.expovariate(1.0) * density for density in densities]
            order.sort(key=rings.__getitem__)
        case Sampling.DEPTH_WEIGHTED:
            order.sort(key=depths.__getitem__)
    return order


def _systematic(weights: Sequence[float], rows: int, rng: random.Random, wanted: range) -> list[int]:
    """The pool on a line, each persona as long as its weight, and `rows` points at equal distances on it, taken in
    steps of about the golden section."""
    ends, offset, first = list(accumulate(weights)), rng.random(), rng.randrange(rows)
    step = _coprime(rows)
    scale, last = ends[-1] / rows, len(ends) - 1
    return [min(last, bisect_right(ends, ((first + step * row) % rows + offset) * scale)) for row in wanted]


def _coprime(rows: int) -> int:
    """A step that comes by every one of `rows` points before it comes by one again."""
    step = max(1, round(rows * 0.618034))
    while gcd(step, rows) > 1:
        step += 1
    return step
