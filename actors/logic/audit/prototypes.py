"""Groups of people of whom words say nothing, by the nearest of sentences about each group ("prototypes").

How far it may be trusted is learned from people of whom words do say it: half of them set the margin, the other half
tell how often the nearest is right. Where it is not often enough, nobody is put into that group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.logic.audit.lexicon import attributes
from actors.logic.audit.statistics import Interval, wilson

Vectors = NDArray[np.float32]

_RIGHT = 0.85  # agreement that a margin has to reach, on the half that sets it
_TRUSTED = 0.8  # that the lower bound of a group's agreement has to reach, on the other half
_LEAST = 60  # people of whom words say it, for an attribute to be tried


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """Of `nearest` people whose nearest prototype is this group's, words put `agreed` there too; if it `is_trusted`,
    `added` are put there of whom words say nothing."""

    group: str
    nearest: int
    agreed: int
    bounds: Interval
    is_trusted: bool
    added: int


@dataclass(frozen=True, slots=True)
class PrototypeFigure:
    """An attribute by prototypes, in a sample of `personas` of which words tell `said`. `why_not` says why nobody was
    assigned, or is empty."""

    attribute: str
    personas: int
    said: int
    margin: float
    groups: list[GroupAgreement]
    why_not: str


def sentences() -> list[str]:
    """All prototypes, in the order in which `prototype_figures` wants their vectors."""
    return [sentence for _, _, sentence in _all()]


def prototype_figures(
    prototypes: Vectors, vectors: Vectors, labels: Sequence[Mapping[str, str]]
) -> list[PrototypeFigure]:
    """For each attribute, from unit vectors of the prototypes (p × d) and of people (n × d), whose `labels` are groups
    by attribute as words tell them. The first half of those told sets the margin."""
    owners = [(name, group) for name, group, _ in _all()]
    scores = vectors @ prototypes.T
    scores -= scores.mean(axis=0)  # a sentence that is near to everybody tells nothing
    found = []
    for name, attribute in attributes().items():
        columns = [[at for at, owner in enumerate(owners) if owner == (name, group)] for group in attribute.names]
        by_group = np.stack([scores[:, some].max(axis=1) for some in columns], axis=1)
        told = np.array([attribute.names.index(one[name]) if name in one else -1 for one in labels])
        found.append(_figure(name, attribute.names, by_group, told))
    return found


def _all() -> list[tuple[str, str, str]]:
    return [
        (name, group.name, sentence)
        for name, attribute in attributes().items()
        for group in attribute.groups
        for sentence in group.prototypes
    ]


def _figure(name: str, groups: list[str], scores: NDArray[np.float32], told: NDArray[np.int64]) -> PrototypeFigure:
    nearest = scores.argmax(axis=1)
    two = np.sort(scores, axis=1)[:, -2:]
    margins = two[:, 1] - two[:, 0]
    known = np.flatnonzero(told >= 0)
    if len(known) < _LEAST:
        return PrototypeFigure(name, len(told), len(known), 0.0, [], f"words tell it of {len(known)} people only")
    half = len(known) // 2
    margin = _margin(margins[known[:half]], nearest[known[:half]] == told[known[:half]])
    if margin is None:
        return PrototypeFigure(
            name, len(told), len(known), 0.0, [], f"the nearest is right less than {_RIGHT:.0%} of the time"
        )
    sure, held = margins >= margin, known[half:]
    figures = []
    for at, group in enumerate(groups):
        mine = held[sure[held] & (nearest[held] == at)]
        agreed, bounds = int((told[mine] == at).sum()), wilson(int((told[mine] == at).sum()), len(mine))
        is_trusted = bool(len(mine)) and bounds.low >= _TRUSTED
        added = int((sure & (nearest == at) & (told < 0)).sum()) if is_trusted else 0
        figures.append(GroupAgreement(group, len(mine), agreed, bounds, is_trusted, added))
    why_not = "" if any(one.is_trusted for one in figures) else f"no group is right {_TRUSTED:.0%} of the time for sure"
    return PrototypeFigure(name, len(told), len(known), float(margin), figures, why_not)


def _margin(margins: NDArray[np.float32], is_right: NDArray[np.bool_]) -> float | None:
    """The least margin from which on the nearest is right often enough; None where there is none."""
    order = np.argsort(-margins)
    right = np.cumsum(is_right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero((right >= _RIGHT) & (np.arange(1, len(order) + 1) >= min(20, len(order))))
    return float(margins[order[enough[-1]]]) if len(enough) else None
