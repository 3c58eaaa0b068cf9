"""What the counts of an audit come to: shares, who is missing or too many, and what hangs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from actors.logic.audit.lexicon import attributes
from actors.logic.audit.reference import Reference
from actors.logic.audit.statistics import (
    LEVEL,
    Interval,
    Table,
    association,
    poisson_tail,
    residuals,
    risk_ratio,
    sure_residual,
    wilson,
)
from actors.logic.audit.tally import JOB, Cell, Example, Tally

_WHO = frozenset(["age", "gender", "region", "language"])
_DOES = frozenset(["occupation", JOB, "education", "expertise"])
_BY_NATURE = frozenset(
    map(
        frozenset,
        [
            *(("age", name) for name in ("education", "occupation", JOB, "expertise")),
            ("region", "language"),
            *(("education", name) for name in ("occupation", JOB, "expertise")),
            *(("expertise", name) for name in ("occupation", JOB)),
        ],
    )
)
_LEAST_PERSONAS = 50  # of whom both are said, for a pair to be compared
_LEAST_IN_A_CELL = 2.0  # of these, on average
_LEAST_EXPECTED = 5.0  # for a residual to be as good as normal
_TOLD = 1.5  # times as often, or as rarely
_STEREOTYPES = 20
_EXAMPLE_CHARACTERS = 240


@dataclass(frozen=True, slots=True)
class GroupShare:
    """A group's part of the personas of which the attribute is said. Of a reference: the share there, how many times
    that the group has here, and whether the interval leaves it out."""

    group: str
    count: int
    share: float
    bounds: Interval
    reference: float | None = None
    ratio: float | None = None
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Marginal:
    """An attribute: of how many personas it is `said`, and its groups. Against a reference only the groups that it
    names count, and `outside` says how many personas are of others."""

    attribute: str
    title: str
    said: int
    groups: list[GroupShare]
    reference: str | None = None
    outside: int = 0


@dataclass(frozen=True, slots=True)
class PairFigure:
    """How much two attributes hang together among `personas` of which both are said. `by_nature`: they do so in life,
    whoever writes."""

    attributes: tuple[str, str]
    personas: int
    v: float
    bounds: Interval
    by_chance: float
    is_sure: bool
    by_nature: bool


@dataclass(frozen=True, slots=True)
class Stereotype:
    """`group` of who someone is goes with `does` of what they do: `ratio` times as often as among all others."""

    attributes: tuple[str, str]
    group: str
    does: str
    count: int
    expected: float
    ratio: float
    bounds: Interval
    residual: float
    examples: list[Example]


def marginals(tally: Tally, references: Sequence[Reference] = ()) -> list[Marginal]:
    """One for each attribute, and one for each combination that a reference tells of."""
    single = {one.attributes[0]: one for one in references if len(one.attributes) == 1}
    found = []
    for name, attribute in attributes().items():
        counts: dict[tuple[str, ...], int] = {(group,): tally.groups[name, group] for group in attribute.names}
        found.append(_marginal(name, attribute.title, counts, single.get(name)))
    for one in references:
        if len(one.attributes) > 1:
            title = " × ".join(attributes()[name].title for name in one.attributes)
            found.append(_marginal(" × ".join(one.attributes), title, _combined(tally, one.attributes), one))
    return found


def _combined(tally: Tally, names: tuple[str, ...]) -> dict[tuple[str, ...], int]:
    return dict(tally.combined[names])


def _marginal(name: str, title: str, counts: dict[tuple[str, ...], int], reference: Reference | None) -> Marginal:
    said = sum(counts.values())
    if not reference:
        return Marginal(name, title, said, [_share(groups, count, said) for groups, count in counts.items()])
    inside = sum(counts.get(groups, 0) for groups in reference.shares)
    several = len(reference.shares)
    shares = [
        _held(groups, counts.get(groups, 0), inside, share, several) for groups, share in reference.shares.items()
    ]
    return Marginal(name, title, said, shares, reference.source, said - inside)


def _share(groups: tuple[str, ...], count: int, total: int) -> GroupShare:
    return GroupShare(", ".join(groups), count, count / total if total else 0.0, wilson(count, total))


def _held(groups: tuple[str, ...], count: int, total: int, expected: float, several: int) -> GroupShare:
    """The share beside that of the reference, which tells of `several` groups; the verdict allows for as many looks."""
    one, wide = _share(groups, count, total), wilson(count, total, several)
    verdict = ""
    if total and wide.low > expected:
        verdict = "over"
    elif total and wide.high < expected:
        verdict = "under"
    ratio = one.share / expected if expected else None
    return GroupShare(one.group, count, one.share, one.bounds, expected, ratio, verdict)


def pair_figures(tally: Tally, seed: int) -> list[PairFigure]:
    """The pairs of attributes with enough personas, what hangs together most first."""
    tables = {pair: tally.table(*pair) for pair in tally.pairs()}
    enough = {pair: table for pair, table in tables.items() if _is_enough(table)}
    found = []
    for pair, table in enough.items():
        one = association(table, seed, len(enough))
        nature = frozenset(pair) in _BY_NATURE
        found.append(PairFigure(pair, int(table.sum()), one.v, one.bounds, one.by_chance, one.is_sure, nature))
    return sorted(found, key=lambda one: -one.v)


def _is_enough(table: Table) -> bool:
    rows, columns = (int((table.sum(axis=axis) > 0).sum()) for axis in (1, 0))
    return min(rows, columns) > 1 and table.sum() >= max(_LEAST_PERSONAS, _LEAST_IN_A_CELL * rows * columns)


def stereotypes(tally: Tally, pairs: Sequence[PairFigure]) -> list[Stereotype]:
    """Groups of who someone is that go, or do not go, with what they do more than chance allows, in pairs of attributes
    that hang together and need not; the surest first."""
    asked = [one for one in pairs if one.is_sure and not one.by_nature and _is_telling(one.attributes)]
    tables = {one.attributes: tally.table(*one.attributes) for one in asked}
    cells = sum(table.size for table in tables.values())
    least = sure_residual(cells)
    found = []
    for (who, does), table in tables.items():
        sure = residuals(table)
        for a, b in zip(*np.nonzero(np.abs(sure) >= least), strict=True):
            names = (tally.names(who)[a], tally.names(does)[b])
            one = _stereotype(tally, (who, does), names, table, (int(a), int(b)), float(sure[a, b]))
            if not 1 / _TOLD < one.ratio < _TOLD and (
                one.expected >= _LEAST_EXPECTED or poisson_tail(one.count, one.expected) * cells < LEVEL / 2
            ):
                found.append(one)
    return sorted(found, key=lambda one: -abs(one.residual))[:_STEREOTYPES]


def _is_telling(pair: tuple[str, str]) -> bool:
    return pair[0] in _WHO and pair[1] in _DOES


def _stereotype(
    tally: Tally,
    pair: tuple[str, str],
    names: tuple[str, str],
    table: Table,
    at: tuple[int, int],
    residual: float,
) -> Stereotype:
    a, b = at
    count, column, row = table[a, b], table[:, b].sum(), table[a].sum()
    expected = float(row * column / table.sum())
    ratio, bounds = risk_ratio(int(count), int(column), int(row - count), int(table.sum() - column))
    cell: Cell = (pair[0], names[0], pair[1], names[1])
    shown = [Example(one.key, one.persona_id, _cut(one.text)) for one in tally.examples(cell)]
    return Stereotype(pair, *names, int(count), expected, ratio, bounds, residual, shown)


def _cut(text: str) -> str:
    return text if len(text) <= _EXAMPLE_CHARACTERS else text[: _EXAMPLE_CHARACTERS - 1] + "…"
