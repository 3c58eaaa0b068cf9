"""How many people are like a persona: the density of the corpus around it, measured against a sample of the corpus.

Whole numbers throughout, so that it depends on who is kept and on nothing else: not on their order, the number of
shards, or how a library adds up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.logic.sampling import derived_rng

SAMPLE = 4096
_UNIT = 2048  # a component in whole numbers; sums of products of two unit vectors stay below 2²⁴, exact in float32
_SAME = _UNIT**2  # the cosine 1
_PAIRED = 1024  # of the sample, whose pairs tell how alike strangers are
_STRANGERS = 0.05  # so few of the pairs are less alike
_ROWS = 1024  # measured at a time


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """m personas: `ids` (m of 12 bytes) and `vectors` (m × d, float16)."""

    ids: NDArray[np.void]
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.ids)


def sample(offered: Iterable[Sample], seed: int, size: int = SAMPLE) -> Sample:
    """Of all that are offered the `size` personas whose ids are the smallest under a mask of the seed, whatever their
    order and their pieces.

    Ids are digests, so every persona is as likely to be among them. Samples of parts, sampled again, are a sample of
    the whole.
    """
    mask = np.uint64(derived_rng(seed, "density").getrandbits(64))
    kept: list[Sample] = []
    for piece in offered:
        kept = [_smallest([*kept, _smallest([piece], mask, size)], mask, size)]
    return kept[0] if kept else Sample(np.empty(0, "V12"), np.empty((0, 0), np.float16))


def _smallest(some: Sequence[Sample], mask: np.uint64, size: int) -> Sample:
    ids = np.concatenate([one.ids for one in some])
    order = (_leading(ids) ^ mask).argsort(kind="stable")[:size]
    if len(some) == 1:
        return Sample(ids[order], some[0].vectors[order])
    return Sample(ids[order], np.concatenate([one.vectors for one in some])[order])


def _leading(ids: NDArray[np.void]) -> NDArray[np.uint64]:
    """The first 8 bytes of each id as a number."""
    words = np.frombuffer(ids.tobytes(), ">u4").reshape(-1, 3).astype(np.uint64)
    return words[:, 0] << np.uint64(32) | words[:, 1]


class Crowd:
    """What a persona is measured against.

    Two people are alike by 0 as long as their cosine is at most a third of the way from that of strangers (the 5th
    percentile among pairs of the sample) to 1, by 1 from two thirds of the way on, and linearly in between. So the
    measure fits any embedding model, however close together it puts people who have nothing in common.
    """

    def __init__(self, sample: Sample) -> None:
        self._ids, self._vectors = sample.ids, _whole(sample.vectors)
        some = self._vectors[:_PAIRED]
        pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
        at = int(_STRANGERS * len(pairs))
        strangers = float(np.partition(pairs, at)[at]) if len(pairs) else 0.0
        self._third = np.float32(max(1.0, (_SAME - strangers) // 3))
        self._low = np.float32(strangers) + self._third

    def density(self, ids: NDArray[np.void], vectors: NDArray[np.float16]) -> NDArray[np.uint64]:
        """Of n personas (ids, and vectors n × d) how many of the sample are like each, itself counted as one.

        In units that are the same for the whole corpus, 1 or more; those who are rarer than one in a sample are
        equally rare.
        """
        found = np.empty(len(ids), np.float64)
        for start in range(0, len(ids), _ROWS):
            alike = _whole(vectors[start : start + _ROWS]) @ self._vectors.T
            alike -= self._low
            np.clip(alike, 0, self._third, out=alike)
            found[start : start + _ROWS] = alike.sum(axis=1, dtype=np.float64)
        found += np.where(np.isin(_plain(ids), _plain(self._ids)), 0, self._third)
        return np.maximum(found, self._third).astype(np.uint64)


def _whole(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.rint(vectors.astype(np.float32) * _UNIT)


def _plain(ids: NDArray[np.void]) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(ids).view("S12")
