"""Runs a flow beside the script: in a thread of its own, so that it works with an event loop running or none, and ends
when the script is interrupted."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import cache
from typing import Generic, TypeVar

from pipelines.hooks import Control

T = TypeVar("T")

_ENDS_S = 60.0


class Running(Generic[T]):
    """Work that has begun, or waits for the one before it to end: a run has the machine's cores and its stderr."""

    def __init__(self, work: Callable[[], T], control: Control) -> None:
        self._work, self._control, self._done = work, control, Future[T]()
        _thread().put(self._run)

    def _run(self) -> None:
        try:
            self._done.set_result(self._work())
        except BaseException as error:
            self._done.set_exception(error)

    async def result(self) -> T:
        """What the work brings, or raises. Cancelled, it has the run end first, with all that is done kept."""
        done = asyncio.wrap_future(self._done)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            self._control.halt("interrupted")
            with suppress(Exception):
                await asyncio.wait_for(done, _ENDS_S)
            raise

    def wait(self) -> T:
        """As `result`, from a script without an event loop, or beside one that runs."""
        try:
            return self._done.result()
        except KeyboardInterrupt:
            self.stop()
            raise

    def stop(self) -> None:
        """Have the run end, and wait for it; what it raised is of no interest."""
        self._control.halt("interrupted")
        with suppress(Exception):
            self._done.result(_ENDS_S)

    @property
    def is_over(self) -> bool:
        return self._done.done()


@cache
def _thread() -> queue.SimpleQueue[Callable[[], None]]:
    """What is put here is called in one thread, which lives as long as the process: Ray's own processes end with the
    thread that started them."""
    calls = queue.SimpleQueue[Callable[[], None]]()

    def work() -> None:
        while True:
            calls.get()()

    threading.Thread(target=work, name="populace", daemon=True).start()
    return calls
