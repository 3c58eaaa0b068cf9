"""Reads what comes next while what came is worked on: few requests at a time, in the order in which they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor


class Ahead:
    """Holds `width` contents at most."""

    def __init__(self, read: Callable[[str], bytes], names: Sequence[str], width: int) -> None:
        self._read, self._left, self._width = read, iter(names), width
        self._pool = ThreadPoolExecutor(width)
        self._reading: dict[str, Future[bytes]] = {}
        self._fill()

    def take(self, name: str) -> bytes | None:
        """The content of `name`, once; None where it was not expected."""
        future = self._reading.pop(name, None)
        self._fill()
        return future.result() if future else None

    def _fill(self) -> None:
        while len(self._reading) < self._width and (name := next(self._left, None)) is not None:
            self._reading[name] = self._pool.submit(self._read, name)
