"""What a script adds to a run beside its settings: code of its own, who is told of rows, and a way to end it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.logic.dialogue.own import Writes
from actors.logic.retrieval import Retriever
from actors.logic.tools.kit import Results
from cluster.errors import Halt

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.services import Services


@dataclass(frozen=True, slots=True)
class GenerationState:
    """How far a run is, as stopping rules see it. `personas_used` and `documents_covered` are distinct ones; costs and
    tokens are of all sessions of the run, `seconds` of this one."""

    num_requested: int
    num_generated: int
    num_failed: int
    personas_used: int
    documents_covered: int
    documents: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    seconds: float


class Control:
    """Ends a run from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: Services | None = None
        self._reason = ""

    def halt(self, reason: str) -> None:
        """The run ends with `Halt(reason)` as soon as it can: what is on the wire is waited for by nobody."""
        with self._lock:
            self._reason = reason
            if self._services:
                self._services.halt(reason)

    @contextmanager
    def of(self, services: Services) -> Iterator[None]:
        """Who is to be ended, for as long as the block lasts. `Halt` where that was asked for before."""
        with self._lock:
            if self._reason:
                raise Halt(self._reason)
            self._services = services
        try:
            yield
        finally:
            with self._lock:
                self._services = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """`opens` writes first messages, `instructs` system messages, `retriever` and `functions` take the places of those
    in the settings. `stop` says after each part why the run is to end, or nothing. `receive` is told each part of
    conversations once it is whole, in whichever session that is, at least once; `see` those of this one. `opened` is
    called once the folder is the run's. `names` are what stands for code of the user's own in the manifest: a run does
    not go on with other code.
    """

    opens: Writes | None = None
    instructs: Writes | None = None
    retriever: Retriever | None = None
    functions: Results | None = None
    stop: Callable[[GenerationState], str] | None = None
    receive: Callable[[pa.Table], None] | None = None
    see: Callable[[pa.Table], None] | None = None
    opened: Callable[[], None] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    control: Control = field(default_factory=Control)

    @property
    def looks_closely(self) -> bool:
        """Whether somebody waits for each small part."""
        return any((self.stop, self.receive, self.see))
