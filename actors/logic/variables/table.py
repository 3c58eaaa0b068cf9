"""A table of counts or probabilities, as CSV, read as a block.

The header names variables, and as its last column `count` or `probability`. A column `given:NAME` is a parent: the
others are then conditional on it, and counts and probabilities are those within each combination of parents.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from actors.logic.persona import normalise_space
from actors.logic.variables.laws import Law, weighted
from actors.logic.variables.population import Block, When
from cluster.errors import UserError

_GIVEN = "given:"
_WEIGHTS = ("count", "probability")
_DIVIDER = re.compile(r"([,;\t])[^,;\t]*$")  # what stands before the last column


@dataclass(frozen=True, slots=True)
class _Header:
    names: list[str]  # without given:
    is_parent: list[bool]
    are_probabilities: bool

    def of(self, cells: list[str], parents: bool) -> tuple[str, ...]:
        return tuple(cell for cell, parent in zip(cells, self.is_parent, strict=True) if parent is parents)


def table(source: str, lines: Iterable[str]) -> Block:
    """The block in the lines of a CSV text, whose cells are divided by commas, semicolons or tabs.

    `UserError` naming the line that cannot be used.
    """
    rows = _rows(source, lines)
    header = _header(source, next(rows, (1, []))[1])
    values: dict[When, dict[tuple[str, ...], float]] = {}
    first_seen: dict[tuple[When, When], int] = {}
    for number, cells in rows:
        where = f"{source} line {number}"
        *named, weight = _cells(where, cells, header)
        when, outcome = header.of(named, parents=True), header.of(named, parents=False)
        if (before := first_seen.setdefault((when, outcome), number)) != number:
            raise UserError(f"{where} repeats line {before}: {', '.join(named)}")
        values.setdefault(when, {})[outcome] = _number(where, weight)
    if not values:
        raise UserError(f"{source} has no rows below its header")
    names = header.of(header.names, parents=False)
    given = header.of(header.names, parents=True)
    return Block(names, given, {when: _law(source, header, given, when, rows) for when, rows in values.items()}, source)


def _law(source: str, header: _Header, given: When, when: When, rows: dict[tuple[str, ...], float]) -> Law:
    told = ", ".join(f"{name} {value}" for name, value in zip(given, when, strict=True))
    where = f"{source}, {told}" if told else source
    return weighted(list(rows), list(rows.values()), where, header.are_probabilities)


def _rows(source: str, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold something, each with the number of its line, from 1."""
    text = iter(lines)
    first = next(text, "")
    divider = _DIVIDER.search(first)
    reader = csv.reader(_chained(first, text), delimiter=divider[1] if divider else ",", skipinitialspace=True)
    try:
        for row in reader:
            if any(cells := [normalise_space(cell) for cell in row]):
                yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{source} line {reader.line_num} is not CSV: {error}") from None


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first.removeprefix("\ufeff")
    yield from rest


def _header(source: str, cells: list[str]) -> _Header:
    *names, weight = cells or [""]
    if weight.lower() not in _WEIGHTS:
        raise UserError(f"{source}: the last column must be count or probability, got {weight!r}")
    is_parent = [name.lower().startswith(_GIVEN) for name in names]
    bare = [name[len(_GIVEN) :].strip() if parent else name for name, parent in zip(names, is_parent, strict=True)]
    if all(is_parent):
        raise UserError(f"{source} names no variable in its header; write e.g. region,age,count")
    if not all(bare):
        raise UserError(f"{source} has a column without a name")
    if repeated := next((name for name in bare if bare.count(name) > 1), ""):
        raise UserError(f"{source} has the column {repeated} twice")
    return _Header(bare, is_parent, weight.lower() == "probability")


def _cells(where: str, cells: list[str], header: _Header) -> list[str]:
    if len(cells) != len(header.names) + 1:
        raise UserError(f"{where} has {len(cells)} cells, its header {len(header.names) + 1}")
    if empty := next((name for name, cell in zip(header.names, cells, strict=False) if not cell), ""):
        raise UserError(f"{where}: {empty} is empty")
    return cells


def _number(where: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise UserError(f"{where}: {cell!r} is no number") from None
