"""When a persona is too close to one that is kept: the record that asks, the verdict, and the decision over a batch.

A candidate is decided once, in the order of arrival, against everything kept so far including the batch itself, so of
two near-duplicates exactly the first is kept and every group keeps one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
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
    MINHASH = "minhash"
    EMBEDDING = "embedding"


ADMITTED = "admitted"
WANTED = "wanted"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on a stage refuses: Jaccard's similarity of words, which is estimated (None leaves the stage out), and
    the cosine of vectors."""

    cosine: float
    minhash: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A persona that asks to be admitted."""

    persona_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Admitted where `reason` is None; else the neighbour that is kept, and the score with it: 1 for exact ones, the
    similarity of words, or the cosine."""

    persona_id: str
    reason: Reason | None = None
    neighbour_id: str | None = None
    score: float | None = None

    @property
    def admitted(self) -> bool:
        return self.reason is None


def form_key(text: str) -> bytes:
    """16 bytes of the text's normal form, or of the text where that is empty ("!", "?"); equal keys are exact
    duplicates."""
    form = normal_form(text) or " ".join(text.split())
    return hashlib.blake2b(form.encode(errors="surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Nearest:
    """For each of n candidates the best score among the kept, and who has it ("" where there is none)."""

    scores: NDArray[np.float32]
    ids: list[str]

    def or_nearer(self, other: Nearest) -> Nearest:
        nearer = other.scores > self.scores
        ids = [theirs if better else ours for ours, theirs, better in zip(self.ids, other.ids, nearer, strict=True)]
        return Nearest(np.maximum(self.scores, other.scores), ids)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage knows of a batch: the `nearest` of those kept before, and the scores `within` the batch, of one
    row with several others. A score ≥ `threshold` refuses."""

    reason: Reason
    threshold: float
    nearest: Nearest
    within: Callable[[int, NDArray[np.intp]], NDArray[np.float32]]


def decide(candidates: Sequence[Candidate], stages: Sequence[Stage]) -> list[Verdict]:
    """Verdicts on a batch of n candidates, none of which is kept yet; the first stage that refuses one is named."""
    kept, count = np.empty(len(candidates), np.intp), 0
    verdicts: list[Verdict] = []
    for row, candidate in enumerate(candidates):
        refusals = (_refusal(candidates, row, kept[:count], stage) for stage in stages)
        verdict = next(filter(None, refusals), None) or Verdict(candidate.persona_id)
        if verdict.admitted:
            kept[count], count = row, count + 1
        verdicts.append(verdict)
    return verdicts


def _refusal(candidates: Sequence[Candidate], row: int, kept: NDArray[np.intp], stage: Stage) -> Verdict | None:
    score, neighbour = float(stage.nearest.scores[row]), stage.nearest.ids[row]
    if len(kept):
        within = stage.within(row, kept)
        best = int(np.argmax(within))
        if float(within[best]) > score:
            score, neighbour = float(within[best]), candidates[int(kept[best])].persona_id
    refused = score >= stage.threshold
    return Verdict(candidates[row].persona_id, stage.reason, neighbour, min(score, 1.0)) if refused else None
