"""The nearest of a few candidates, from the stored vectors themselves: what every tier's answer is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from actors.index.log import IndexLog

_AT_ONCE = 1024


def nearest_of(
    log: IndexLog, queries: NDArray[np.float32], candidates: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best cosine (n) and its position (n) among each query's candidates (n × k), of which −1 stands for none.

    The sum over the components is always taken in the same order: a score does not depend on what found the candidate
    or on who else is asked for. Without a candidate the score is −1 and so is the position; of equals the earliest row
    is taken.
    """
    scores, positions = np.full(len(queries), -1.0, np.float32), np.full(len(queries), -1, np.int64)
    for start in range(0, len(queries), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        scores[part], positions[part] = _nearest_of(log, queries[part], np.sort(candidates[part], axis=1))
    return scores, positions


def _nearest_of(
    log: IndexLog, queries: NDArray[np.float32], candidates: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    there = candidates >= 0
    cosines = np.full(candidates.shape, -np.inf, np.float32)
    of_query = np.nonzero(there)[0]
    stored = log.vectors(candidates[there]).astype(np.float32)
    cosines[there] = np.einsum("nd,nd->n", stored, queries[of_query])
    best = cosines.argmax(axis=1)[:, None]
    found = there.any(axis=1)
    scores = np.where(found, np.take_along_axis(cosines, best, axis=1)[:, 0], np.float32(-1))
    return scores, np.where(found, np.take_along_axis(candidates, best, axis=1)[:, 0], -1)
