"""Train, validation and test by document: no document lies in two, and where it lies hangs on nothing but its id and
the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")
_TOLERANCE = 1e-6


def fractions(text: str) -> tuple[float, ...]:
    """The shares of `0.9,0.05,0.05`: one to three numbers, of `SPLITS` in their order. `ValueError` says what is wrong
    with others."""
    try:
        shares = tuple(float(one) for one in text.split(","))
    except ValueError:
        raise ValueError("is no list of numbers") from None
    if len(shares) > len(SPLITS):
        raise ValueError(f"has {len(shares)} numbers; there are {', '.join(SPLITS)}")
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError("has a number that is not in [0, 1]")
    if abs(sum(shares) - 1) > _TOLERANCE:
        raise ValueError(f"sums to {sum(shares):.6g}, not to 1")
    return shares


NOWHERE = -1


def assigned_all(document_ids: pa.ListArray, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """The place in `SPLITS` of each row, by the documents that it is about, at least one; NOWHERE where these lie in
    several."""
    if not len(document_ids):
        return np.zeros(0, np.int64)
    places = assigned(document_ids.flatten(), shares, seed)
    starts = np.cumsum(document_ids.value_lengths().to_numpy()[:-1], dtype=np.int64)
    bounds = np.concatenate([np.zeros(1, np.int64), starts])
    least, most = np.minimum.reduceat(places, bounds), np.maximum.reduceat(places, bounds)
    rows: NDArray[np.int64] = np.where(least == most, least, NOWHERE)
    return rows


def assigned(document_ids: pa.Array, shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """The place in `SPLITS` of each row, by the document that it is about."""
    coded = document_ids.dictionary_encode()
    bounds = list(accumulate(shares))[:-1]
    points = [_point(one, seed) for one in coded.dictionary.to_pylist()]
    places: NDArray[np.int64] = np.searchsorted(bounds, points, side="right")
    rows: NDArray[np.int64] = places[coded.indices.to_numpy()]
    return rows


def _point(document_id: str, seed: int) -> float:
    """In [0, 1), spread evenly over documents."""
    digest = hashlib.blake2b(f"{seed}\x1fexport\x1f{document_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53
