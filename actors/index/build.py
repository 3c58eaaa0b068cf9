"""Builds the index of a higher rung from the log, beside the one that goes on serving.

Touches no other index: it may run in a thread of its own, beside one thread that appends to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from actors.index.log import IndexLog
from actors.index.search import nearest_of
from actors.index.tiers import CANDIDATES, Rung, Tiers, new_index, rung_of

logger = logging.getLogger(__name__)

STEP_ROWS = 8192
_NEAR = 1e-3  # an answer this much below the nearest counts as it
_NEAREST = 0.98  # of the probes


def build(log: IndexLog, rung: Rung, tiers: Tiers, stopped: Callable[[], bool]) -> faiss.IndexIVF | None:
    """An index of the rung over every row that the log has when it ends, which finds `tiers.recall` of probes.

    It holds rows 0 to its `ntotal`. None where it cannot reach that recall, or is `stopped`, which is asked each step.
    """
    faiss.omp_set_num_threads(1)  # this thread's
    index = new_index(rung, log.dimension)
    index.train(_spread(log, min(tiers.training_rows, 40 * rung.lists), odd=True))
    probes = Probes(log, tiers)
    while index.ntotal < len(log):
        if stopped():
            return None
        step = np.arange(index.ntotal, min(index.ntotal + STEP_ROWS, len(log)))
        vectors = log.vectors(step).astype(np.float32)
        index.add(vectors)
        probes.see(vectors)
    while (recall := recall_of(index, log, probes)) < tiers.recall and widen(index, tiers):
        pass
    logger.info("index of %d rows, %s: recall %.3f by %d of them", index.ntotal, rung, recall, index.nprobe)
    return index if recall >= tiers.recall else None


def recall_of(index: faiss.IndexIVF, log: IndexLog, probes: Probes) -> float:
    """The share of the probes for which the index finds the nearest, or one that decides as much: at the cosine."""
    candidates = index.search(probes.queries, CANDIDATES[rung_of(index).kind])[1]
    scores, _ = nearest_of(log, probes.queries, candidates)
    return float(np.mean(scores >= np.minimum(probes.truth - _NEAR, probes.cosine)))


def widen(index: faiss.IndexIVF, tiers: Tiers) -> bool:
    """Lets the index search twice as many lists; False where those would be too many."""
    if 2 * index.nprobe > tiers.most_searched * index.nlist:
        return False
    index.nprobe *= 2
    return True


@dataclass(slots=True, eq=False, init=False)
class Probes:
    """Stored vectors moved towards others by as much as near-duplicates differ at most and at least, and the cosine of
    the nearest: of the one that was moved, or of a nearer one that was shown."""

    queries: NDArray[np.float32]
    truth: NDArray[np.float32]
    cosine: float

    def __init__(self, log: IndexLog, tiers: Tiers) -> None:
        held = _spread(log, tiers.probes, odd=False)
        others = np.roll(held, len(held) // 2, axis=0)
        sideways = others - np.einsum("nd,nd->n", others, held)[:, None] * held
        sideways /= np.maximum(np.linalg.norm(sideways, axis=1, keepdims=True), 1e-6)
        self.cosine = tiers.cosine
        cosines = np.linspace(self.cosine, max(self.cosine, _NEAREST), len(held), dtype=np.float32)[:, None]
        self.queries = cosines * held + np.sqrt(1 - cosines**2) * sideways
        self.truth = np.einsum("nd,nd->n", held, self.queries)

    def see(self, vectors: NDArray[np.float32]) -> None:
        np.maximum(self.truth, (self.queries @ vectors.T).max(axis=1), out=self.truth)


def _spread(log: IndexLog, count: int, odd: bool) -> NDArray[np.float32]:
    """At most `count` of the stored vectors, at even distances in the log: of the odd rows, which lists are trained on,
    or of the others, which for lists are as those to come."""
    pairs = len(log) // 2
    positions = 2 * np.unique(np.linspace(0, pairs - 1, min(count, pairs)).astype(np.int64)) + odd
    return log.vectors(positions).astype(np.float32)
