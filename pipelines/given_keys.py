"""Keys that a script holds in memory: a config names them by a number, and they are written nowhere."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cluster.errors import UserError

KIND = "given"
_pools: list[tuple[str, ...]] = []


def give(keys: Sequence[str]) -> list[str]:
    """References to the keys, for `keys` of an endpoint: to variables of the environment where they stand there too,
    so that a command can go on with the run, else to this process."""
    variables = {value.strip(): name for name, value in reversed(list(os.environ.items())) if value.strip()}
    named = [f"env:{variables[key]}" for key in keys if key in variables]
    rest = tuple(key for key in keys if key not in variables)
    if not rest:
        return named
    if rest not in _pools:
        _pools.append(rest)
    return [*named, f"{KIND}:{_pools.index(rest) + 1}"]


def taken(place: str, name: str) -> list[tuple[str, str]]:
    """The keys of a reference, each with what it is called; `UserError` where this process was given none."""
    at = int(place) - 1 if place.isdigit() else -1
    if not 0 <= at < len(_pools):
        raise UserError(
            f"{name}.keys: {KIND}:{place} was in the memory of a script; name the key as 'env:NAME' or 'file:PATH'"
        )
    return [(f"{KIND}:{place} key {number}", key) for number, key in enumerate(_pools[at], 1)]
