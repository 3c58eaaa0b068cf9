"""Vectors at chosen cosines, and the candidates that they belong to."""

import numpy as np
from numpy.typing import NDArray

from actors.logic.near_duplicates import Candidate

SIZE = 8


def candidate(number: int, text: str | None = None) -> Candidate:
    return Candidate(f"{number:024x}", f"a person number {number}" if text is None else text)


def candidates(*numbers: int) -> list[Candidate]:
    return [candidate(number) for number in numbers]


def unit(vectors: object) -> NDArray[np.float32]:
    found = np.asarray(vectors, dtype=np.float32)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def scattered(count: int, seed: int = 0, size: int = SIZE) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(count, size)))


def apart(count: int) -> NDArray[np.float32]:
    """Vectors at right angles to one another."""
    return np.eye(SIZE, dtype=np.float32)[:count]


def at_cosine(vector: NDArray[np.float32], cosine: float, seed: int = 1) -> NDArray[np.float32]:
    """A unit vector at this cosine with `vector`, in a random direction from it."""
    other = np.random.default_rng(seed).normal(size=vector.shape).astype(np.float32)
    sideways = unit(other - (other @ vector) * vector)
    return unit(cosine * vector + np.sqrt(1 - cosine**2) * sideways)


def groups(count: int, each: int, seed: int = 0) -> NDArray[np.float32]:
    """Vectors in groups, some of whose members are near-duplicates and some are not, in random order."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(scattered(count, seed), each, axis=0)
    spread = rng.choice([0.05, 0.1, 0.2], size=(count * each, 1))
    return rng.permutation(unit(centres + spread * rng.normal(size=centres.shape)))


def planted(count: int, queries: int, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`count` unit vectors in groups of fifty, and as many queries as asked for, each at a cosine of .85 to .98 with
    one of them, in the direction of another."""
    rng = np.random.default_rng(0)
    centres = scattered(max(1, count // 50), 1, size)[rng.integers(max(1, count // 50), size=count)]
    vectors = unit(centres + rng.normal(size=centres.shape) / np.sqrt(size))
    near, other = vectors[rng.integers(count, size=(2, queries))]
    sideways = unit(other - np.einsum("nd,nd->n", other, near)[:, None] * near + 1e-6)
    cosines = rng.uniform(0.85, 0.98, size=(queries, 1))
    return vectors, unit(cosines * near + np.sqrt(1 - cosines**2) * sideways)
