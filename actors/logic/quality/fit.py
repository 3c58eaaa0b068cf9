"""How much what a persona says is like the persona: cosines of vectors, which fall where it fades over the turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spoken:
    """A persona and its messages in their order; an empty persona is nobody's."""

    persona: str
    messages: Sequence[str]


@dataclass(frozen=True, slots=True)
class Fit:
    """Cosine of the persona with each of its messages; that with the opening is the first."""

    consistency: list[float]

    @property
    def opening(self) -> float:
        return self.consistency[0]


def texts_of(spoken: Sequence[Spoken]) -> list[str]:
    """What is to be embedded: each persona, and its messages after it."""
    return [text for one in spoken if one.persona for text in (one.persona, *one.messages)]


def fits(spoken: Sequence[Spoken], vectors: NDArray[np.float32]) -> list[Fit | None]:
    """From the unit vectors of `texts_of(spoken)`, one a row; None where there is no persona."""
    found: list[Fit | None] = []
    at = 0
    for one in spoken:
        if not one.persona:
            found.append(None)
            continue
        until = at + 1 + len(one.messages)
        cosines = vectors[at + 1 : until] @ vectors[at]
        found.append(Fit([float(cosine) for cosine in cosines]))
        at = until
    return found
