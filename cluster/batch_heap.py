"""Calls that wait to become a batch, apart by model: a batch takes calls of one model alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cluster.batch import Rule

T = TypeVar("T")


@dataclass(slots=True)
class _Heap(Generic[T]):
    """Times are in the clock's seconds."""

    first_at: float
    last_at: float
    calls: list[T] = field(default_factory=list)
    size: int = 0


class Heaps(Generic[T]):
    """Hands over a heap, by its model, when it is full or no more came for a moment. Use from one event loop only."""

    def __init__(self, rule: Rule, send: Callable[[str, list[T]], None], clock: Callable[[], float]) -> None:
        self.rule = rule
        self._send, self._clock = send, clock
        self._heaps: dict[str, _Heap[T]] = {}
        self._watches: set[asyncio.Task[None]] = set()

    def put(self, model: str, call: T, size: int) -> None:
        """A call whose line has `size` bytes."""
        heap, now = self._heaps.get(model), self._clock()
        if heap and not self.rule.fits(len(heap.calls), heap.size, size):
            self._close(model)
            heap = None
        if heap is None:
            heap = self._heaps[model] = _Heap(now, now)
            watch = asyncio.get_running_loop().create_task(self._watch(model, heap))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)
        heap.calls.append(call)
        heap.size += size
        heap.last_at = now

    def drain(self) -> list[T]:
        """Those that wait, which are let go of."""
        waiting = [call for heap in self._heaps.values() for call in heap.calls]
        self._heaps.clear()
        return waiting

    async def _watch(self, model: str, heap: _Heap[T]) -> None:
        while self._heaps.get(model) is heap:
            wait = self.rule.wait_s(heap.first_at, heap.last_at, self._clock())
            if wait:
                await asyncio.sleep(wait)
            else:
                self._close(model)

    def _close(self, model: str) -> None:
        self._send(model, self._heaps.pop(model).calls)
