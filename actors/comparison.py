"""What near-duplicates are told by: the words and the vector of a text, held against those that are kept.

Sees one index and one batch; decides as `actors.logic.near_duplicates` says. One thread at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actors.logic.minhash import Signatures, band_keys, bands_for, signature, similarities
from actors.logic.near_duplicates import Candidate, Nearest, Reason, Stage, Thresholds, Verdict, decide

Vectors = NDArray[np.float32]
Neighbours = dict[Reason, Nearest]
"""The nearest of those kept, by each stage that there is."""


class Index(Protocol):
    """What is kept, as `PersonaIndex` holds it."""

    def exact(self, form: bytes) -> bytes | None: ...

    def nearest(self, vectors: Vectors) -> tuple[Vectors, list[bytes]]: ...

    def alike(self, signatures: Signatures) -> tuple[Vectors, list[bytes]]: ...

    def keep(
        self, ids: Sequence[bytes], forms: Sequence[bytes], vectors: Vectors, signatures: Signatures | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Marks:
    """What n candidates are compared by: unit vectors (n × d), and signatures (n × 128) where words are compared."""

    vectors: Vectors
    signatures: Signatures | None = None

    def __len__(self) -> int:
        return len(self.vectors)


class Comparison:
    """Batches against one index and against themselves."""

    def __init__(self, thresholds: Thresholds, index: Index) -> None:
        self._cosine, self._minhash, self._index = thresholds.cosine, thresholds.minhash, index

    def marks(self, texts: Sequence[str], vectors: Sequence[Vectors]) -> Marks:
        """Of n texts and their vectors (d each)."""
        signatures = np.stack([signature(text) for text in texts]) if self._minhash else None
        return Marks(np.stack(vectors), signatures)

    def holders(self, forms: Sequence[bytes]) -> list[bytes | None]:
        """Who is kept under each form."""
        return [self._index.exact(form) for form in forms]

    def look_up(self, asked: Sequence[Marks]) -> list[Neighbours]:
        """The neighbours of each of several batches: one pass over the index serves them all."""
        found: dict[Reason, tuple[Vectors, list[bytes]]] = {}
        signatures = [one.signatures for one in asked if one.signatures is not None]
        if signatures:
            found[Reason.MINHASH] = self._index.alike(np.concatenate(signatures))
        found[Reason.EMBEDDING] = self._index.nearest(np.concatenate([one.vectors for one in asked]))
        stops = list(itertools.accumulate(map(len, asked)))
        return [
            {stage: _nearest(*nearest, slice(stop - len(one), stop)) for stage, nearest in found.items()}
            for one, stop in zip(asked, stops, strict=True)
        ]

    def may_be_near(self, ours: Marks, theirs: Marks) -> bool:
        """Whether a stage could call one of ours and one of theirs near-duplicates."""
        if self._minhash and ours.signatures is not None and theirs.signatures is not None:
            bands = bands_for(self._minhash)
            if np.isin(band_keys(theirs.signatures, bands), band_keys(ours.signatures, bands)).any():
                return True
        return bool(np.max(theirs.vectors @ ours.vectors.T, initial=-1.0) >= self._cosine)

    def verdicts(self, candidates: Sequence[Candidate], marks: Marks, neighbours: Neighbours) -> list[Verdict]:
        cosines, signatures = marks.vectors @ marks.vectors.T, marks.signatures
        by_vector = neighbours[Reason.EMBEDDING]
        stages = [Stage(Reason.EMBEDDING, self._cosine, by_vector, lambda row, others: cosines[row, others])]
        if self._minhash and signatures is not None:
            by_words = neighbours[Reason.MINHASH]
            stages.insert(
                0,
                Stage(
                    Reason.MINHASH,
                    self._minhash,
                    by_words,
                    lambda row, others: similarities(signatures[row], signatures[others]),
                ),
            )
        return decide(candidates, stages)

    def keep(self, ids: Sequence[str], forms: Sequence[bytes], marks: Marks, rows: Sequence[int]) -> None:
        """Keeps these rows of the marks, under as many ids and forms."""
        if rows:
            at = list(rows)
            signatures = marks.signatures[at] if marks.signatures is not None else None
            self._index.keep([bytes.fromhex(one) for one in ids], forms, marks.vectors[at], signatures)


def nearer(ours: Neighbours, theirs: Neighbours) -> Neighbours:
    """The nearer of two at each stage."""
    return {stage: mine.or_nearer(theirs[stage]) for stage, mine in ours.items()}


def _nearest(scores: Vectors, ids: Sequence[bytes], rows: slice) -> Nearest:
    return Nearest(scores[rows], [one.hex() for one in ids[rows]])
