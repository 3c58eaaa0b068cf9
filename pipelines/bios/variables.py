"""The random variables of a simulation from the user's files, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from actors.logic.variables import Population, Variable, Variables, population
from pipelines.variable_files import read_blocks

_PLACES = {name: place for place, name in enumerate(("name", "kind", "given", "when"))}


def read_population(patterns: Sequence[str]) -> Population:
    """The population in these files and globs; `UserError` naming file, line or variable."""
    return population(read_blocks(patterns, "bios.variables"))


def as_yaml(variables: Sequence[Variable]) -> str:
    """The variables as YAML that `read_population` reads, to be edited by a person."""
    content = Variables(variables=list(variables)).model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(_named_first(content), sort_keys=False, allow_unicode=True, width=100)


def _named_first(told: Any) -> Any:
    """The same, where each variable and each case begins with what it is, before the law that it has."""
    if isinstance(told, list):
        return [_named_first(one) for one in told]
    if not isinstance(told, dict):
        return told
    return {name: _named_first(told[name]) for name in sorted(told, key=lambda name: _PLACES.get(name, len(_PLACES)))}
