"""Asks for several at a time what its callers ask for one by one. Knows nothing of what is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Gathered(Generic[Item, Answer]):
    """What is asked within `every_s`, or where asks do not `overlap` during the last one, is asked together.

    `ask` gives as many answers as it is given items, in their order; what it raises, each of these callers raises.
    """

    def __init__(
        self, ask: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], every_s: float = 0.0, overlap: bool = True
    ) -> None:
        self._ask, self._every_s, self._overlap = ask, every_s, overlap
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = float("-inf")

    async def get(self, item: Item) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if self._asking is None or self._asking.done():
            self._asking = self._start(self._ask_all())
        return await answer

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _ask_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(max(0.0, self._last + self._every_s - loop.time()))
            taken, self._waiting, self._last = self._waiting, [], loop.time()
            asked = self._start(self._answer(taken))
            if not self._overlap:
                await asyncio.wait([asked])

    async def _answer(self, taken: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = list(zip(taken, await self._ask([item for item, _ in taken]), strict=True))
        except Exception as error:
            for _, waiting in taken:
                if not waiting.done():
                    waiting.set_exception(error)
            return
        for (_, waiting), answer in answers:
            if not waiting.done():
                waiting.set_result(answer)
