"""Variables as a person writes them in YAML, and as a model answers them: the same shape, read as blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from actors.logic.persona import normalise_space
from actors.logic.variables.laws import Law, Shape, spread, weighted
from actors.logic.variables.population import Block, When
from cluster.errors import UserError

YES, NO = "yes", "no"


class Kind(StrEnum):
    """What a variable's values are. A binary one is yes or no."""

    CATEGORICAL = "categorical"
    NUMERICAL = "numerical"
    BINARY = "binary"


def _as_text(value: object) -> object:
    """YAML reads yes and 18 as what they are not meant to be here."""
    if isinstance(value, bool):
        return YES if value else NO
    return normalise_space(str(value)) if isinstance(value, (str, int, float)) else value


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class _Law(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    values: list[Text] = []
    probabilities: list[float] = []
    distribution: Shape | None = None
    mean: float | None = None
    sd: float | None = None
    min: float | None = None
    max: float | None = None
    decimals: Annotated[int, Field(ge=0, le=6)] = 0


class Case(_Law):
    """The law where the parents have these values, in the order in which `given` names them."""

    when: list[Text]


class Variable(_Law):
    """A variable with a law of its own, or with one for each case of the variables that it hangs on."""

    name: Text
    kind: Kind
    given: list[Text] = []
    cases: list[Case] = []


class Variables(BaseModel):
    """A list of variables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variables: list[Variable] = []


def blocks(variables: Sequence[Variable], source: str, tolerance: float | None = None) -> Iterator[Block]:
    """A block for each variable; `UserError` naming the variable. See `weighted` for `tolerance`."""
    for one in variables:
        where = f"{source}: {one.name}" if source else one.name
        yield Block((one.name,), tuple(one.given), _laws(one, where, tolerance), where)


def _laws(one: Variable, where: str, tolerance: float | None) -> dict[When, Law]:
    if not one.given:
        if one.cases:
            raise UserError(f"{where} has cases, but is given nothing; name in `given` what they are cases of")
        return {(): _law(one, one, where, tolerance)}
    if not one.cases:
        raise UserError(f"{where} is given {', '.join(one.given)}, but has no cases")
    laws: dict[When, Law] = {}
    for case in one.cases:
        when = tuple(case.when)
        place = f"{where} when {', '.join(when)}"
        if len(when) != len(one.given):
            raise UserError(f"{place} must name a value for each of {', '.join(one.given)}")
        if when in laws:
            raise UserError(f"{place} stands there twice")
        laws[when] = _law(one, case, place, tolerance)
    return laws


def _law(one: Variable, told: _Law, where: str, tolerance: float | None) -> Law:
    if one.kind is Kind.NUMERICAL:
        if told.distribution is None:
            known = ", ".join(Shape)
            raise UserError(f"{where} is numerical and has no distribution ({known})")
        return spread(told.distribution, where, told.mean, told.sd, told.min, told.max, told.decimals)
    values = told.values or one.values
    shares = told.probabilities
    if one.kind is Kind.BINARY:
        values = values or [YES, NO]
        if len(values) != 2:
            raise UserError(f"{where} is binary and has {len(values)} values")
        if len(shares) == 1 and 0 <= shares[0] <= 1:  # of the first
            shares = [shares[0], 1 - shares[0]]
    if not shares and values:
        raise UserError(f"{where} has no probabilities; give one for each value")
    return weighted([(value,) for value in values], shares, where, are_probabilities=True, tolerance=tolerance)
