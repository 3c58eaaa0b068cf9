"""When a persona is too close to one that is kept: the record that asks, the verdict, and the decision over a batch.

A candidate is decided once, in the order of arrival, against everything kept so far including the batch itself, so of
two near-duplicates exactly the first is kept and every group keeps one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from actors.logic.persona import normal_form


class Scope(StrEnum):
    """Among which personas near-duplicates are looked for."""

    CORPUS = "corpus"
    DOCUMENT = "document"
    NONE = "none"


class Reason(StrEnum):
    """The stage that refused a persona; the `reason` column of `rejected/`."""

    EXACT = "exact"
    EMBEDDING = "embedding"


ADMITTED = "admitted"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A persona that asks to be admitted."""

    persona_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Admitted where `reason` is None; else the neighbour that is kept, and the cosine with it (1.0 for exact)."""

    persona_id: str
    reason: Reason | None = None
    neighbour_id: str | None = None
    score: float | None = None

    @property
    def admitted(self) -> bool:
        return self.reason is None


def form_key(text: str) -> bytes:
    """16 bytes of the text's normal form; equal keys are exact duplicates."""
    return hashlib.blake2b(normal_form(text).encode(), digest_size=16).digest()


def decide(
    candidates: Sequence[Candidate],
    within: NDArray[np.float32],
    nearest_score: NDArray[np.float32],
    nearest_id: Sequence[str],
    threshold: float,
) -> list[Verdict]:
    """Verdicts by embedding for a batch of n candidates, none of which is kept yet.

    `within` is the n × n cosine matrix of the batch; `nearest_score` (n) and `nearest_id` (n) are each candidate's best
    neighbour among the personas kept before. A cosine ≥ `threshold` refuses.
    """
    kept, count = np.empty(len(candidates), np.intp), 0
    verdicts: list[Verdict] = []
    for row, candidate in enumerate(candidates):
        score, neighbour = float(nearest_score[row]), nearest_id[row]
        if count:
            best = int(kept[np.argmax(within[row, kept[:count]])])
            if float(within[row, best]) > score:
                score, neighbour = float(within[row, best]), candidates[best].persona_id
        if score >= threshold:
            verdicts.append(Verdict(candidate.persona_id, Reason.EMBEDDING, neighbour, min(score, 1.0)))
        else:
            kept[count], count = row, count + 1
            verdicts.append(Verdict(candidate.persona_id))
    return verdicts
