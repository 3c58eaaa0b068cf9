"""The laws that values follow: weighted outcomes, and spreads of numbers within bounds.

`where` names the thing in messages. Everything is drawn by inverting a distribution at one uniform number, so that a
row takes the same numbers from its generator whatever comes out.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from statistics import NormalDist

from cluster.errors import UserError

Value = str | int | float

ROUNDING = 1e-6  # by which each of the probabilities that should sum to 1 may be off
_FAR = 8  # sd between a bound and the mean, beyond which next to nothing is left
_SURE = 1 - 2**-53
_STANDARD = NormalDist()


class Shape(StrEnum):
    """How numbers are spread. `integer` is uniform over whole numbers; the mean and sd of `lognormal` are its own."""

    NORMAL = "normal"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"
    INTEGER = "integer"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Tuples of values, one for each variable of a block, with the running sums of their probabilities, up to 1."""

    values: tuple[tuple[str, ...], ...]
    running: tuple[float, ...]

    def draw(self, rng: random.Random) -> tuple[Value, ...]:
        return self.values[bisect_right(self.running, rng.random())]

    def possible(self) -> Iterator[tuple[str, ...]]:
        """Those that can come out."""
        before = 0.0
        for values, reached in zip(self.values, self.running, strict=True):
            if reached > before:
                yield values
            before = reached


@dataclass(frozen=True, slots=True)
class Spread:
    """A number, rounded to `decimals`, whose distribution is cut to `low` … `high` (not clamped to them)."""

    shape: Shape
    mean: float
    sd: float
    low: float
    high: float
    decimals: int

    def draw(self, rng: random.Random) -> tuple[Value, ...]:
        return (self._rounded(self._inverse(rng.random())),)

    def _inverse(self, at: float) -> float:
        match self.shape:
            case Shape.INTEGER:
                whole = math.ceil(self.low)
                return whole + math.floor(at * (math.floor(self.high) - whole + 1))
            case Shape.UNIFORM:
                return self.low + at * (self.high - self.low)
            case Shape.NORMAL:
                return self.mean + self.sd * _cut_normal(at, self._score(self.low), self._score(self.high))
        spread = math.log1p((self.sd / self.mean) ** 2)
        centre, width = math.log(self.mean) - spread / 2, math.sqrt(spread)
        low = (math.log(self.low) - centre) / width if self.low > 0 else -math.inf
        high = (math.log(self.high) - centre) / width
        return math.exp(centre + width * _cut_normal(at, low, high))

    def _score(self, bound: float) -> float:
        return (bound - self.mean) / self.sd

    def _rounded(self, value: float) -> Value:
        """Within the bounds as they are rounded inwards."""
        unit = 10**self.decimals
        low = math.ceil(self.low * unit) if math.isfinite(self.low) else -math.inf
        high = math.floor(self.high * unit) if math.isfinite(self.high) else math.inf
        whole = int(min(high, max(low, round(value * unit))))
        return whole / unit if self.decimals else whole


Law = Outcomes | Spread


def _cut_normal(at: float, low: float, high: float) -> float:
    """The standard normal between two scores, at a quantile; from the lighter tail, where there are digits left."""
    if low > 0:
        return -_cut_normal(1 - at, -high, -low)
    begin, end = _cumulative(low), _cumulative(high)
    return min(high, max(low, _STANDARD.inv_cdf(min(_SURE, max(5e-324, begin + at * (end - begin))))))


def _cumulative(score: float) -> float:
    return 0.5 * math.erfc(-score / math.sqrt(2))


def weighted(
    values: Sequence[tuple[str, ...]],
    weights: Sequence[float],
    where: str,
    are_probabilities: bool,
    tolerance: float | None = None,
) -> Outcomes:
    """Outcomes by counts, or by probabilities that sum to 1 (by `tolerance`, else `ROUNDING` each). `UserError`."""
    if not values:
        raise UserError(f"{where} has no values; name at least one")
    if len(values) != len(weights):
        what = "probabilities" if are_probabilities else "counts"
        raise UserError(f"{where} has {len(values)} values, but {len(weights)} {what}; give one for each")
    repeated = next((value for value, times in Counter(values).items() if times > 1), None)
    if repeated:
        raise UserError(f"{where} has the value {', '.join(repeated)} twice; leave one out")
    wrong = next((weight for weight in weights if not (weight >= 0 and math.isfinite(weight))), None)
    if wrong is not None:
        raise UserError(f"{where} has the weight {wrong:g}; it must be 0 or more")
    total = math.fsum(weights)
    if are_probabilities and abs(total - 1) > (tolerance or ROUNDING * len(weights)):
        raise UserError(f"{where}: the probabilities sum to {total:.6g}, not to 1 (counts need not)")
    if total <= 0:
        raise UserError(f"{where}: all counts are 0")
    running = [reached / total for reached in accumulate(weights)]
    last = max(at for at, weight in enumerate(weights) if weight > 0)
    return Outcomes(tuple(values), tuple(running[:last] + [1.0] * (len(running) - last)))


def spread(
    shape: Shape,
    where: str,
    mean: float | None = None,
    sd: float | None = None,
    low: float | None = None,
    high: float | None = None,
    decimals: int = 0,
) -> Spread:
    """A spread from what a person would write; `UserError` naming what is missing or cannot be."""
    bounded = shape in (Shape.UNIFORM, Shape.INTEGER)
    needed = {"min": low, "max": high} if bounded else {"mean": mean, "sd": sd}
    if missing := [name for name, value in needed.items() if value is None]:
        raise UserError(f"{where} is {shape} and has no {' and no '.join(missing)}")
    if not all(math.isfinite(value) for value in (mean, sd, low, high) if value is not None):
        raise UserError(f"{where} has a number that is not finite")
    if not bounded and not (sd or 0) > 0:
        raise UserError(f"{where} has the sd {sd:g}; it must be more than 0")
    if shape is Shape.LOGNORMAL and not (mean or 0) > 0:
        raise UserError(f"{where} is lognormal with the mean {mean:g}; it must be more than 0")
    decimals = 0 if shape is Shape.INTEGER else decimals
    least = 0.0 if shape is Shape.LOGNORMAL else -math.inf
    low, high = max(least, least if low is None else low), math.inf if high is None else high
    made = Spread(shape, mean or 0.0, sd or 0.0, low, high, decimals)
    if not _has_numbers(made):
        raise UserError(f"{where}: no number of {decimals} decimals lies between min {low:g} and max {high:g}")
    if not bounded and not (low - _FAR * made.sd <= made.mean <= high + _FAR * made.sd):
        raise UserError(f"{where}: the mean {made.mean:g} is too far from min {low:g} and max {high:g}")
    return made


def _has_numbers(made: Spread) -> bool:
    if made.high < made.low or (made.shape is Shape.LOGNORMAL and made.high <= 0):
        return False
    unit = 10**made.decimals
    return math.isinf(made.high - made.low) or math.floor(made.high * unit) >= math.ceil(made.low * unit)
