"""MinHash: which share of their words two texts have in common, from 128 bytes of each (Broder 1997).

The similarity of two texts is Jaccard's of their sets of words: those in both over those in either. For each of 128
hash functions the least hash of a text's words is kept, of which the lowest byte (b-bit minwise hashing, Li and König
2010, b = 8); two texts agree in such a byte with the probability J + (1 − J) ÷ 256.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from actors.logic.words import words

PERMUTATIONS = 128
_BY_CHANCE = 1 / 256
_FACTORS, _TERMS, _MIXERS = np.frombuffer(hashlib.shake_128(b"minhash").digest(24 * PERMUTATIONS), "<u8").reshape(3, -1)

Signatures = NDArray[np.uint8]
"""n × 128, one row a text."""


def signature(text: str) -> Signatures:
    """128 bytes of the set of the text's words, a row of `Signatures`; a text without any has one, the empty one."""
    distinct = set(words(text)) or {""}
    digests = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in distinct)
    hashes = np.frombuffer(digests, "<u8")[:, None] * (_FACTORS | 1) + _TERMS  # modulo 2^64
    hashes = (hashes ^ hashes >> 32) * (_MIXERS | 1)
    found: Signatures = (hashes.min(axis=0) >> 8).astype(np.uint8)
    return found


def similarities(one: Signatures, others: Signatures) -> NDArray[np.float32]:
    """Estimates of Jaccard's similarity of a text (or n) with n others; of standard deviation ≤ 0.045."""
    agreed = np.count_nonzero(one == others, axis=-1) / PERMUTATIONS
    return np.asarray(np.maximum(0, (agreed - _BY_CHANCE) / (1 - _BY_CHANCE)), dtype=np.float32)


def bands_for(threshold: float) -> int:
    """Into how many bands a signature is cut so that two whose estimate is ≥ `threshold` agree in one of them for sure:
    one more than the bytes in which they may differ."""
    agreed = math.ceil(PERMUTATIONS * (threshold * (1 - _BY_CHANCE) + _BY_CHANCE) - 1e-6)
    return PERMUTATIONS - agreed + 1


def band_keys(signatures: Signatures, bands: int) -> NDArray[np.uint64]:
    """n × bands: a digest of each band and its number."""
    keys = np.empty((len(signatures), bands), np.uint64)
    for number, band in enumerate(np.array_split(signatures, bands, axis=1)):
        padded = np.zeros((len(signatures), 8 * -(-band.shape[1] // 8)), np.uint8)
        padded[:, : band.shape[1]] = band
        key = np.full(len(signatures), number + 1, np.uint64)
        for part in padded.view(np.uint64).T:
            key = (key ^ part) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        keys[:, number] = key
    return keys
