"""Actors by name: what crosses to other actors instead of handles.

A handle among an actor's constructor arguments is an object that the actor's restart depends on; a name is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayTaskError


@dataclass(frozen=True, slots=True)
class Named:
    """An actor of this run. `handle` finds it, also after it was restarted; `ValueError` where it is gone."""

    name: str
    namespace: str

    def handle(self) -> Any:
        return ray.get_actor(self.name, namespace=self.namespace)


class Fleet(Named):
    """Callers by the name of the actor that has them; how many there are changes."""


def start(kind: type, named: Named, *arguments: Any, **options: Any) -> Any:
    """Start an actor of class `kind` under its name; ends with the driver, or when it is killed."""
    return ray.remote(kind).options(name=named.name, namespace=named.namespace, **options).remote(*arguments)


def as_raised(error: Exception) -> Exception:
    """The error as an actor raised it; Ray wraps it anew in each actor that it passes."""
    while isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        error = error.cause
    return error
