"""What a filter of near-duplicates should have kept, by brute force, and how near it came to that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_AT_ONCE = 1000


def exact_greedy(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Whether each of n unit vectors (n × d), in their order, has no cosine ≥ `threshold` with one kept before it."""
    kept = np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), _AT_ONCE):
        block = vectors[start : start + _AT_ONCE]
        earlier = vectors[:start][kept[:start]]
        is_near = (block @ earlier.T >= threshold).any(axis=1)
        within = block @ block.T >= threshold
        chosen = kept[start : start + _AT_ONCE]
        for row in np.flatnonzero(~is_near):
            chosen[row] = not within[row, :row][chosen[:row]].any()
    return kept


def recall(kept: Iterable[int], reference: np.ndarray) -> float:
    """Of the rows that the reference (n, whether kept) refuses, the share that is refused; 1 where it refuses none."""
    refused = np.ones(len(reference), bool)
    refused[list(kept)] = False
    due = ~reference
    return float(refused[due].mean()) if due.any() else 1.0


def planted(kept: Iterable[int], groups: Sequence[int]) -> tuple[int, int]:
    """(kept rows beyond the first of their group, groups of which no row is kept)."""
    seen = [groups[row] for row in kept]
    return len(seen) - len(set(seen)), len(set(groups) - set(seen))
