"""Random variables and the population that they describe: read, checked, and drawn from."""

from actors.logic.variables.laws import Outcomes, Shape, Spread, Value, spread, weighted
from actors.logic.variables.population import Block, Population, population
from actors.logic.variables.spec import Kind, Variable, Variables, blocks
from actors.logic.variables.table import table

__all__ = [
    "Block",
    "Kind",
    "Outcomes",
    "Population",
    "Shape",
    "Spread",
    "Value",
    "Variable",
    "Variables",
    "blocks",
    "population",
    "spread",
    "table",
    "weighted",
]
