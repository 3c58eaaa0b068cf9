"""The random variables of a simulation from the user's files, and back."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from actors.logic.variables import Population, Variable, Variables, population
from pipelines.variable_files import read_blocks


def read_population(patterns: Sequence[str]) -> Population:
    """The population in these files and globs; `UserError` naming file, line or variable."""
    return population(read_blocks(patterns, "bios.variables"))


def as_yaml(variables: Sequence[Variable]) -> str:
    """The variables as YAML that `read_population` reads, to be edited by a person."""
    content = Variables(variables=list(variables)).model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
