"""How sure a share, a ratio and an association are, from counts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Table = NDArray[np.float64]
_Z95 = NormalDist().inv_cdf(0.975)
LEVEL = 0.05  # of an error anywhere among all that an audit compares
_DRAWS = 400
_DRAWS_BY_CHANCE = 2000


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds at 95 %."""

    low: float
    high: float


def wilson(count: int, total: int, groups: int = 1) -> Interval:
    """Of a share (Wilson 1927), at 95 %: also sound where the count is none or all. Of so many `groups` that are looked
    at together, all intervals hold at that level (Bonferroni)."""
    if not total:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(1 - LEVEL / (2 * groups))
    share, z2 = count / total, z**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = z * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


@dataclass(frozen=True, slots=True)
class Association:
    """Bias-corrected Cramér's V of a table, its bounds, and the V that chance alone stays under in 95 % of all audits:
    the more pairs an audit compares, the higher."""

    v: float
    bounds: Interval
    by_chance: float

    @property
    def is_sure(self) -> bool:
        return self.v > self.by_chance


def cramers_v(table: Table) -> float:
    """Bias-corrected (Bergsma 2013, doi:10.1016/j.jkss.2012.10.002), of counts (rows × columns); 0 where either side
    has a single group."""
    table = _filled(table)
    return float(_corrected(np.array([_phi2(table)]), table)[0])


def association(table: Table, seed: int, pairs: int) -> Association:
    """V of a table of counts, one of so many `pairs`. The bounds are by a bootstrap of the table, less the bias
    that a second sampling adds; what chance makes is drawn from the table's margins."""
    table = _filled(table)
    if min(table.shape) < 2:
        return Association(0.0, Interval(0.0, 0.0), 0.0)
    generator, total = Generator(PCG64(seed % 2**64)), round(table.sum())
    shares = table.ravel() / table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)).ravel() / table.sum() ** 2
    again = _phi2s(generator.multinomial(total, shares, _DRAWS), table.shape)
    again = _corrected(again - again.mean() + _phi2(table), table)
    chance = _corrected(_phi2s(generator.multinomial(total, expected, _DRAWS_BY_CHANCE), table.shape), table)
    return Association(
        v=cramers_v(table),
        bounds=Interval(*(float(bound) for bound in np.quantile(again, (0.025, 0.975)))),
        by_chance=float(np.quantile(chance, 1 - LEVEL / max(1, pairs))),
    )


def residuals(table: Table) -> Table:
    """Adjusted standardised residuals (Haberman 1973): standard normal in each cell where nothing hangs together."""
    total = table.sum()
    rows, columns = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    expected = rows * columns / max(1, total)
    spread = np.sqrt(expected * (1 - rows / max(1, total)) * (1 - columns / max(1, total)))
    found: Table = np.divide(table - expected, spread, out=np.zeros_like(expected), where=spread > 0)
    return found


def sure_residual(cells: int) -> float:
    """What a residual has to exceed to be no chance among so many cells (Bonferroni, at 5 %)."""
    return NormalDist().inv_cdf(1 - LEVEL / 2 / max(1, cells))


def poisson_tail(count: int, expected: float) -> float:
    """How likely `count` cases or more are where so many are expected: for cells too small for `residuals`."""
    term, below = math.exp(-expected), 0.0
    for at in range(count):
        below += term
        term *= expected / (at + 1)
    return max(0.0, 1 - below)


def risk_ratio(count: int, total: int, other_count: int, other_total: int) -> tuple[float, Interval]:
    """How many times as often among `total` as among `other_total` (Katz 1978, half a case added to each count)."""
    a, b = count + 0.5, other_count + 0.5
    ratio = (a / (total + 0.5)) / (b / (other_total + 0.5))
    half = _Z95 * math.sqrt(max(0.0, 1 / a - 1 / (total + 0.5) + 1 / b - 1 / (other_total + 0.5)))
    return ratio, Interval(ratio * math.exp(-half), ratio * math.exp(half))


def _filled(table: Table) -> Table:
    """Without empty rows and columns."""
    found: Table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    return found


def _phi2(table: Table) -> float:
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum() if table.size else table
    return float(((table - expected) ** 2 / expected).sum() / table.sum()) if table.size else 0.0


def _phi2s(draws: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.float64]:
    """φ² of each of n drawn tables (n × cells)."""
    tables = draws.reshape(len(draws), *shape).astype(np.float64)
    total = tables.sum(axis=(1, 2), keepdims=True)
    expected = tables.sum(axis=2, keepdims=True) * tables.sum(axis=1, keepdims=True) / total
    parts = np.divide((tables - expected) ** 2, expected, out=np.zeros_like(tables), where=expected > 0)
    found: NDArray[np.float64] = parts.sum(axis=(1, 2)) / total[:, 0, 0]
    return found


def _corrected(phi2: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
    """V from φ², less what sampling adds to it where nothing hangs together."""
    rows, columns = table.shape
    spare = table.sum() - 1
    if min(rows, columns) < 2 or spare <= 0:
        return np.zeros_like(phi2)
    bias = (rows - 1) * (columns - 1) / spare
    least = min(rows - (rows - 1) ** 2 / spare, columns - (columns - 1) ** 2 / spare) - 1
    found: NDArray[np.float64] = np.sqrt(np.clip(phi2 - bias, 0, None) / least) if least > 0 else np.zeros_like(phi2)
    return found
