"""Objects of the user's own that travel to other processes: pickled once, made once wherever they are used.

What a script or notebook defines is carried by value, so that workers need not be able to import it.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar, cast

from ray import cloudpickle

from cluster.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Carried(Generic[T]):
    """What `carry` made. `name` is what messages call it, `digest` tells it from another one: 12 hex digits of the
    source of its class or function, or, where that is unknown, of its bytes."""

    name: str
    digest: str
    content: bytes

    def get(self) -> T:
        """The object, the same one whenever this process asks for it."""
        return cast(T, _opened(self.content))


def carry(value: T, name: str) -> Carried[T]:
    """`UserError` naming what of it cannot travel."""
    with _by_value(_module_of(value)):
        try:
            content = cloudpickle.dumps(value)
        except Exception as error:  # whatever the user's objects raise
            raise UserError(f"{name} cannot be sent to other processes: {_culprit(value, error)}") from None
    return Carried(name, hashlib.sha256(_source(value) or content).hexdigest()[:12], content)


@lru_cache(maxsize=256)
def _opened(content: bytes) -> object:
    return cloudpickle.loads(content)


def _culprit(value: object, error: Exception) -> str:
    for attribute, held in vars(value).items() if hasattr(value, "__dict__") else ():
        try:
            cloudpickle.dumps(held)
        except Exception as why:
            return (
                f"its attribute {attribute!r} holds a {type(held).__name__} ({_short(why)}); make that where it is used"
            )
    return _short(error)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _source(value: object) -> bytes:
    try:
        told = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
        return inspect.getsource(told).encode()
    except (OSError, TypeError):
        return b""


def _module_of(value: object) -> ModuleType | None:
    named = getattr(value, "__module__", None) or type(value).__module__
    return sys.modules.get(named)


@contextmanager
def _by_value(module: ModuleType | None) -> Iterator[None]:
    """What is pickled meanwhile takes along what `module` defines, unless it is installed and workers have it too."""
    if module is None or module.__name__ == "__main__" or _is_installed(module):
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def _is_installed(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return True
    ours = Path(__file__).parents[1]
    places = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    places += [ours / floor for floor in ("cluster", "actors", "pipelines")]
    return any(Path(file).is_relative_to(place) for place in places)
