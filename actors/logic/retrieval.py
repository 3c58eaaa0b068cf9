"""What a respondent may look up: passages, who finds them, and how documents become passages. Knows no index."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, Protocol

from actors.logic.document import cut
from cluster.errors import CallFailed, FailureKind, UserError

MOST_CHARACTERS = 20_000  # of all passages that one look-up brings
_threads = ThreadPoolExecutor(64, "retriever")  # its own: those that hang keep nobody else waiting
_loading = Lock()


@dataclass(frozen=True, slots=True)
class Passage:
    """A text and the id that stands for it in the row."""

    passage_id: str
    text: str


class Retriever(Protocol):
    """Finds passages for a query, the nearest first. Picklable: it travels with each dialogue."""

    async def find(self, query: str) -> list[Passage]:
        """Raises `CallFailed` where none can be looked up for this query."""


def passages(document_id: str, text: str, characters: int) -> Iterator[Passage]:
    """The text in pieces of at most so many characters, ended where a paragraph, a sentence or a word ends; their ids
    are that of the document and a number."""
    rest, number = text.strip(), 0
    while rest:
        piece, _ = cut(rest, characters)
        yield Passage(f"{document_id}#{number}", piece)
        rest, number = rest[len(piece) :].lstrip(), number + 1


class Given(Protocol):
    """An object that a script has sent along."""

    def get(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class OwnRetriever:
    """A user's own, by the path `package.module:name`: a function of `(query, top_k)`, or a class that makes one, once
    in each process; or a function that was `given`, of that name. It brings texts, or mappings of `id` and `text`, and
    may be a coroutine function."""

    path: str
    top_k: int
    timeout_s: float
    given: Given | None = None

    async def find(self, query: str) -> list[Passage]:
        try:
            found = await asyncio.wait_for(self._ask(query), self.timeout_s)
        except TimeoutError:
            raise self._failed(f"brought nothing within {self.timeout_s:g} s") from None
        except (Exception, SystemExit) as error:  # the boundary to somebody else's code
            raise self._failed(f"raised {type(error).__name__}: {str(error)[:200]}") from None
        return self._read(found)

    async def _ask(self, query: str) -> Any:
        found = await asyncio.get_running_loop().run_in_executor(
            _threads, _brought, self.given, self.path, query, self.top_k
        )
        return await found if inspect.isawaitable(found) else found

    def _read(self, found: Any) -> list[Passage]:
        if not isinstance(found, (list, tuple)):
            raise self._failed(f"brought {type(found).__name__} and no list")
        read, room = list[Passage](), MOST_CHARACTERS
        for one in found[: self.top_k]:
            text = one if isinstance(one, str) else one.get("text") if isinstance(one, dict) else None
            if not isinstance(text, str):
                raise self._failed("brought something that is neither a text nor a mapping with one")
            named = one.get("id") if isinstance(one, dict) else None
            if kept := cut(text, room)[0] if room else "":
                read.append(Passage(str(named or hashlib.sha256(text.encode()).hexdigest()[:24]), kept))
                room -= len(kept)
        return read

    def _failed(self, what: str) -> CallFailed:
        return CallFailed(FailureKind.RETRIEVAL, f"the retriever {self.path} {what}", 1)


def _brought(given: Given | None, path: str, query: str, top_k: int) -> Any:
    with _loading:
        retriever = given.get() if given else own(path)
    try:
        return retriever(query, top_k)
    except SystemExit as error:  # it would end the process
        raise RuntimeError(f"SystemExit: {error}") from None


@cache
def own(path: str) -> Callable[..., Any]:
    """What stands at `package.module:name`; a class is called, without arguments. `UserError` where it cannot be."""
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
        made: Callable[..., Any] = found() if isinstance(found, type) else found
    except (Exception, SystemExit) as error:  # the boundary to somebody else's code
        raise UserError(f"conversations.rag.retriever: {path}: {type(error).__name__}: {str(error)[:200]}") from None
    if not callable(made):
        raise UserError(f"conversations.rag.retriever: {path} cannot be called with a query and a number")
    return made
