"""Callbacks: classes that a script derives from to say itself what users ask first, or what the assistant is told.

They run where the dialogues run, in the callers: a copy in each process, made once, so what one of them keeps in
itself the others do not see.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from actors.logic.dialogue.own import Asks, CallbackRequest
from cluster.carried import Carried
from cluster.chat import Message
from cluster.errors import CallFailed, FailureKind, Halt

_threads = ThreadPoolExecutor(64, "callback")  # their own: those that hang keep nobody else waiting


class Callback:
    """What both kinds have in common.

    `generate` may be a coroutine function, which must not block, or a plain one, which runs in a thread and may. What
    it raises, or a text that is empty, costs its dialogue, which becomes a row of `failures/` with the traceback. So
    does one that takes longer than `timeout_s` seconds, in which waiting for a model does not count.
    """

    timeout_s: float = 60.0

    def generate(self, request: CallbackRequest) -> str | Awaitable[str]:
        """The text; see the class that this one is derived from."""
        raise NotImplementedError(f"{type(self).__name__} has no generate")


class BaseInstructionGeneratorCallback(Callback):
    """Writes the user's first message; `generate` returns it.

    `documents` are those that the dialogues are about, and `uses_personas` says whether each is to be spoken by a
    persona of its document.
    """

    documents: Any = None
    uses_personas: bool = False
    num_random_contexts: int = 1


class BaseRespondentPromptModifierCallback(Callback):
    """Writes the assistant's system message; `generate` returns it, and has the user's first message to go by."""


@dataclass(frozen=True, slots=True)
class OwnText:
    """A callback as dialogues hold it; implements `Writes`."""

    callback: Carried[Callback]

    @property
    def mark(self) -> str:
        return self.callback.digest

    async def text(self, about: CallbackRequest) -> str:
        """`CallFailed` with the traceback where the callback raises; what its own calls raise passes."""
        try:
            callback = await asyncio.to_thread(self.callback.get)  # its imports may take their time
            found = await _in_time(callback, about)
        except (CallFailed, Halt):
            raise
        except (Exception, SystemExit) as error:  # the boundary to somebody else's code
            raise self._failed(error) from None
        if not isinstance(found, str) or not found.strip():
            what = "an empty text" if isinstance(found, str) else f"{type(found).__name__} and no text"
            raise CallFailed(FailureKind.CALLBACK, f"{self.callback.name}.generate returned {what}", 1)
        return found

    def _failed(self, error: BaseException) -> CallFailed:
        if isinstance(error, _TooLate):
            return CallFailed(FailureKind.CALLBACK, f"{self.callback.name}.generate {error}", 1)
        told = "".join(traceback.format_exception(error, limit=-5)).strip()
        return CallFailed(FailureKind.CALLBACK, f"{self.callback.name}.generate raised\n{told}", 1)


class _TooLate(Exception):
    """A callback is not waited for any longer."""


@dataclass(slots=True)
class _Timed:
    """A model, and the seconds for which it was waited."""

    inner: Asks
    answered_s: float = 0.0
    under_way: int = 0
    since: float = 0.0

    async def ask(self, prompt: str | Sequence[Message], temperature: float) -> str:
        if not self.under_way:
            self.since = monotonic()
        self.under_way += 1
        try:
            return await self.inner.ask(prompt, temperature)
        finally:
            self.under_way -= 1
            if not self.under_way:
                self.answered_s += monotonic() - self.since

    @property
    def waited_s(self) -> float:
        return self.answered_s + (monotonic() - self.since if self.under_way else 0.0)


async def _in_time(callback: Callback, about: CallbackRequest) -> Any:
    """What it brings. Raises `_TooLate` after its `timeout_s` in which no model was waited for."""
    timed, began = _Timed(about.asking), monotonic()
    task = asyncio.ensure_future(_answer(callback, replace(about, asking=timed)))
    try:
        while not task.done():
            left = callback.timeout_s - (monotonic() - began - timed.waited_s)
            if left <= 0:
                raise _TooLate(f"brought nothing within {callback.timeout_s:g} s")
            await asyncio.wait({task}, timeout=max(left, 0.01))
        return task.result()
    finally:
        task.cancel()


async def _answer(callback: Callback, about: CallbackRequest) -> Any:
    if inspect.iscoroutinefunction(callback.generate):
        return await callback.generate(about)
    found = await asyncio.get_running_loop().run_in_executor(_threads, _in_thread, callback, about)
    return await found if inspect.isawaitable(found) else found


def _in_thread(callback: Callback, about: CallbackRequest) -> str | Awaitable[str]:
    try:
        return callback.generate(about)
    except SystemExit as error:  # it would end the process
        raise RuntimeError(f"SystemExit: {error}") from None
