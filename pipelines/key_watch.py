"""Keys that change while a run goes on: their files are watched, and what is new in them goes to the callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from cluster.errors import UserError
from cluster.key_board import KeySet
from cluster.keys import key_limits
from pipelines.endpoints import Labels, endpoints, key_files
from pipelines.settings import Settings

_LOOK_EVERY_S = 1.0
_SAY_AGAIN_S = 5.0  # to a broker that took a dead one's place


@contextmanager
def watched_keys(settings: Settings, labels: dict[str, Labels], broker: Any, meter: Any) -> Iterator[None]:
    """For as long as the block lasts. A file that is unreadable or empty changes nothing and is noted at the meter."""
    files = [path for one in settings.llm.endpoints for path in key_files(one)]
    over = threading.Event()
    watch = _Watch(settings, labels, files, broker, meter)
    thread = threading.Thread(target=watch.run, args=(over,), name="key watch", daemon=True)
    if files:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if files:
            thread.join(timeout=5)


class _Watch:
    def __init__(
        self, settings: Settings, labels: dict[str, Labels], files: list[Path], broker: Any, meter: Any
    ) -> None:
        self._settings, self._labels, self._files = settings, labels, files
        self._broker, self._meter = broker, meter
        self._seen = self._state()
        self._keys: KeySet | None = None
        self._limits: Any = {}
        self._said_at = 0.0

    def run(self, over: threading.Event) -> None:
        while not over.wait(_LOOK_EVERY_S):
            with suppress(RayError):  # a broker on its way back hears it the next time
                if (state := self._state()) != self._seen:
                    self._seen = state
                    self._read()
                if self._keys and time.monotonic() - self._said_at >= _SAY_AGAIN_S:
                    self._say()

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_stamp(path) for path in self._files]

    def _read(self) -> None:
        try:
            found = endpoints(self._settings, self._labels)
        except UserError as error:
            self._meter.add.remote({}, {"key file": f"{error}; the keys read before stay"})
            return
        self._meter.add.remote({}, {"key file": ""})
        generation = self._keys.generation + 1 if self._keys else 1
        self._keys = KeySet(generation, {one.name: one.keys for one in found if one.rotates})
        self._limits = key_limits(found)
        self._say()

    def _say(self) -> None:
        ray.get(self._broker.put_in.remote(self._keys, self._limits), timeout=10)
        self._said_at = time.monotonic()


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written, replaced, or linked to another."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
