"""Ends the conversations of a run by other rules than their count, each of which says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from actors.logic.document import digest
from cluster.errors import Halt
from cluster.local_copies import readable, scratch
from cluster.manifest import Manifest
from cluster.parts import part_path
from cluster.seen_set import SeenSet
from pipelines.hooks import GenerationState
from pipelines.settings import Settings, Stop

_COLUMNS = {"personas": "persona_id", "documents": "document_ids"}
_DONE = {"personas": "personas have spoken", "documents": "documents were talked about"}
_TRIED = 100  # dialogues before a share of failures says anything


class Enough(Halt):
    """What was to be reached before the count is reached: the run is over, and nothing is undone."""


class Stopping:
    """Looks at each part as it is written. Counts distinct personas and documents exactly, in bounded memory."""

    def __init__(
        self,
        settings: Settings,
        manifest: Manifest,
        began: float,
        own: Callable[[GenerationState], str] | None = None,
        spent: Callable[[], Counter[str]] = Counter,
    ) -> None:
        self._rule, self._folder = settings.conversations.stop, settings.folder
        self._asked = settings.conversations.count
        self._manifest, self._began, self._own, self._spent = manifest, began, own, spent
        self._seen = {
            name: SeenSet(scratch(settings.folder) / f".{name}")
            for name in _COLUMNS
            if own or getattr(self._rule, name) is not None
        }
        self._rows = self._failures = 0
        manifest.facts.pop("stopped", None)

    def __enter__(self) -> Self:
        try:
            for name in self._manifest.conversations.parts:
                self._count(name)
            self._aims()
            self._ask_own(self._began)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for seen in self._seen.values():
            seen.close()

    def after(self, name: str, counts: Mapping[str, int], now: float) -> None:
        """Raises `Enough` or `Halt` where the part `name` of these counts, written at `now`, is the last one."""
        self._count(name)
        self._rows += counts["rows"]
        self._failures += counts["failures"]
        self._aims()
        self._ask_own(now)
        rule, tried = self._rule, self._rows + self._failures
        if rule.seconds is not None and now - self._began >= rule.seconds:
            raise Halt(f"{rule.seconds:,.10g} s are over (conversations.stop.seconds); run again for more")
        if rule.error_rate is not None and tried >= _TRIED and self._failures > rule.error_rate * tried:
            raise Halt(
                f"{self._failures:,} of {tried:,} dialogues failed, more than conversations.stop.error_rate "
                f"({rule.error_rate:.10g}) lets pass; see failures/ for why, and run again"
            )

    def _count(self, name: str) -> None:
        for what, seen in self._seen.items():
            column = pq.read_table(
                readable(part_path(self._folder / "conversations", name)), columns=[_COLUMNS[what]]
            ).column(0)
            listed = pc.list_flatten(column) if pa.types.is_list(column.type) else column
            ids = listed.drop_null().unique().to_pylist()
            seen.add_new(np.array([digest(one) for one in ids], np.uint64))

    def _aims(self) -> None:
        for what, seen in self._seen.items():
            if (aim := getattr(self._rule, what)) is not None and len(seen) >= aim:
                self._manifest.facts["stopped"] = {what: len(seen)}
                self._manifest.save()
                raise Enough(f"{len(seen):,} {_DONE[what]} (conversations.stop.{what}: {aim})")

    def _ask_own(self, now: float) -> None:
        if self._own and (why := self._own(self._state(now))):
            raise Enough(why)

    def _state(self, now: float) -> GenerationState:
        talks, spent = self._manifest.conversations, self._spent()
        return GenerationState(
            num_requested=self._asked,
            num_generated=talks.total("rows"),
            num_failed=talks.total("failures"),
            personas_used=len(self._seen["personas"]),
            documents_covered=len(self._seen["documents"]),
            documents=self._manifest.personas.total("documents"),
            prompt_tokens=int(spent["prompt_tokens"]),
            completion_tokens=int(spent["completion_tokens"]),
            cost_usd=float(spent["cost_usd"]),
            seconds=now - self._began,
        )


def is_enough(rule: Stop, facts: Mapping[str, Any]) -> bool:
    """Whether the aim that ended the last session is still the aim."""
    reached = facts.get("stopped", {}).items()
    return any((aim := getattr(rule, what)) is not None and count >= aim for what, count in reached)
