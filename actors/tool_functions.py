"""The user's Python functions as the results of tools: loaded wherever dialogues are run, each call in a thread of its
own, cut when it takes too long."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

from actors.logic.tools.content import content_of, error_of
from actors.logic.tools.validity import arguments_of
from cluster.carried import Carried
from cluster.errors import Halt, UserError
from cluster.tool_calls import ToolCall

_MOST_HANGING = 64  # threads of a process that never came back
_hanging: set[threading.Thread] = set()
_loading = threading.Lock()  # of a module: once in a process


@dataclass(frozen=True, slots=True)
class ToolFunctions:
    """Functions under the names of their tools. `module` is a dotted name, or a file whose text is `source`, so that
    every node runs the same; what they import is looked for in `folder` too."""

    module: str
    folder: str
    source: str | None
    timeout_s: float

    def load(self) -> ModuleType:
        """The module, once per process; `UserError` where it cannot be loaded."""
        return _load(self.module, self.folder, self.source)

    async def result(self, call: ToolCall) -> str:
        """Implements `Results`; `Halt` where too many calls hang."""
        return await _result(self._function, call, self.timeout_s, self.module)

    def _function(self, name: str) -> Callable[..., object]:
        function: Callable[..., object] = getattr(self.load(), name)
        return function


@dataclass(frozen=True, slots=True)
class GivenFunctions:
    """The same, of functions that a script has sent along, by the names of their tools."""

    functions: Carried[Mapping[str, Callable[..., object]]]
    timeout_s: float

    async def result(self, call: ToolCall) -> str:
        """Implements `Results`; `Halt` where too many calls hang."""
        return await _result(self._function, call, self.timeout_s, self.functions.name)

    def _function(self, name: str) -> Callable[..., object]:
        return self.functions.get()[name]


async def _result(find: Callable[[str], Callable[..., object]], call: ToolCall, timeout_s: float, whose: str) -> str:
    _hanging.intersection_update([one for one in _hanging if one.is_alive()])
    if len(_hanging) >= _MOST_HANGING:
        names = ", ".join(sorted({one.name for one in _hanging}))
        raise Halt(f"{len(_hanging)} calls of {names} in {whose} never came back; mend it and run again")
    loop = asyncio.get_running_loop()
    content: asyncio.Future[str] = loop.create_future()

    def work() -> None:
        told = _told(find, call, timeout_s)
        with suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(_tell, content, told)

    thread = threading.Thread(target=work, name=call.name, daemon=True)
    thread.start()
    try:
        return await asyncio.wait_for(content, timeout_s)
    except TimeoutError:
        _hanging.add(thread)
        return _too_late(timeout_s)


def _told(find: Callable[[str], Callable[..., object]], call: ToolCall, timeout_s: float) -> str | Halt:
    try:
        with _loading:
            function = find(call.name)
    except UserError as error:  # it could be loaded where the run began
        return Halt(f"conversations.tools.functions: {error}")
    return _content(function, arguments_of(call), timeout_s)


def _tell(content: asyncio.Future[str], told: str | Halt) -> None:
    if content.done():
        return
    if isinstance(told, Halt):
        content.set_exception(told)
    else:
        content.set_result(told)


def _content(function: Callable[..., object], arguments: dict[str, object], timeout_s: float) -> str:
    try:
        result = function(**arguments)
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result, timeout_s))
        return content_of(result)
    except BaseException as error:  # the boundary: whatever the user's code raises, the assistant is told
        said = " ".join(str(error).split())
        if isinstance(error, TimeoutError) and not said:
            return _too_late(timeout_s)
        return error_of(f"{type(error).__name__}: {said}")


async def _awaited(result: Awaitable[object], timeout_s: float) -> object:
    return await asyncio.wait_for(result, timeout_s)


def _too_late(timeout_s: float) -> str:
    return error_of(f"TimeoutError: no result after {timeout_s:g} s")


@lru_cache(maxsize=64)
def _load(name: str, folder: str, source: str | None) -> ModuleType:
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        return importlib.import_module(name) if source is None else _executed(name, source)
    except (Exception, SystemExit) as error:  # the boundary: whatever the user's module raises
        said = " ".join(str(error).split())
        raise UserError(f"{name} cannot be loaded ({type(error).__name__}: {said})") from None


def _executed(path: str, source: str) -> ModuleType:
    module: Any = ModuleType(f"populace_tools_{hashlib.sha256(source.encode()).hexdigest()[:12]}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    exec(compile(source, path, "exec"), module.__dict__)
    loaded: ModuleType = module
    return loaded
