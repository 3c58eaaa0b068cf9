"""How many different personas the vectors of a sample amount to, by their spectrum and by their clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE = 1000
LEADER_COSINE = 0.5

Vectors = NDArray[np.float32]
"""Unit vectors, n × d."""


@dataclass(frozen=True, slots=True)
class VectorFigures:
    """Of `personas` personas: the Vendi score; how many clusters they form; which share of the reference's clusters
    they reach; and the entropy of their sizes ÷ its maximum, 0 to 1."""

    personas: int
    vendi: float
    clusters: int
    cluster_coverage: float
    cluster_entropy: float


def vector_figures(vectors: Vectors, reference: Vectors) -> VectorFigures | None:
    """Of the first SAMPLE vectors, beside the clusters whose leaders are in `reference`; None of fewer than two."""
    sample = vectors[:SAMPLE]
    if len(sample) < 2:
        return None
    _, cluster = leaders(sample)
    sizes = np.bincount(cluster)
    reached = coverage(reference, sample)
    return VectorFigures(len(sample), vendi_score(sample), len(sizes), reached, entropy(sizes, len(sample)))


def leading(vectors: Vectors) -> Vectors:
    """The leaders' vectors of the first SAMPLE: what `vector_figures` takes as its reference."""
    sample = vectors[:SAMPLE]
    return sample[leaders(sample)[0]]


def vendi_score(vectors: Vectors) -> float:
    """The effective number of different rows, 1 to n: e to the entropy of the eigenvalues of their cosines ÷ n
    (Friedman and Dieng 2023, arXiv:2210.02410). At most d."""
    rows = vectors.astype(np.float64)
    small = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows  # they have the same eigenvalues but zeros
    eigenvalues = np.linalg.eigvalsh(small / len(rows))
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-np.sum(eigenvalues * np.log(eigenvalues))))


def leaders(vectors: Vectors, cosine: float = LEADER_COSINE) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that lead a cluster, in order, and the number of each row's cluster (n).

    A row leads where no leader before it is at `cosine` or nearer; all others belong to their nearest leader. At .5,
    Persona Hub's threshold where few but diverse personas are wanted, the leaders are those that it would keep.
    """
    found: list[int] = []
    nearest = np.full(len(vectors), -1.0, np.float32)
    cluster = np.zeros(len(vectors), np.int64)
    for row in range(len(vectors)):
        if nearest[row] < cosine:
            cosines = vectors @ vectors[row]
            cosines[row] = 2  # itself, for good
            closer = cosines > nearest
            nearest[closer], cluster[closer] = cosines[closer], len(found)
            found.append(row)
    return np.array(found, np.int64), cluster


def coverage(reference: Vectors, vectors: Vectors, cosine: float = LEADER_COSINE) -> float:
    """The share of the reference's vectors that have one of the others at `cosine` or nearer."""
    return float(np.mean((reference @ vectors.T).max(axis=1) >= cosine))


def entropy(sizes: NDArray[np.int64], rows: int) -> float:
    """Of clusters of these sizes, over that of as many clusters as there are rows: 0 for one cluster, 1 for none."""
    shares = sizes[sizes > 0] / sizes.sum()
    return float(-np.sum(shares * np.log(shares)) / np.log(rows)) + 0.0
