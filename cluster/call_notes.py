"""What became of one model call, noted by those who know while it is under way, for whoever asked to be told.

Where nobody asked, nothing is kept. Knows neither HTTP nor OpenTelemetry.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from cluster.keys import Endpoint


@dataclass(slots=True)
class CallNotes:
    """`attempts` counts requests on the wire, `status` is that of the last answer over HTTP; `kept` says that the
    journal had it."""

    endpoint: Endpoint | None = None
    attempts: int = 0
    status: int | None = None
    kept: bool = False


_NOTES: ContextVar[CallNotes | None] = ContextVar("notes of the call", default=None)


@contextmanager
def noted() -> Iterator[CallNotes]:
    """The notes of the call that is made in the block, in the same task and in those that it starts."""
    token = _NOTES.set(notes := CallNotes())
    try:
        yield notes
    finally:
        _NOTES.reset(token)


def note_attempt(endpoint: Endpoint) -> None:
    """A request goes on the wire."""
    if notes := _NOTES.get():
        notes.endpoint, notes.attempts, notes.status = endpoint, notes.attempts + 1, None


def note_status(status: int | None) -> None:
    """What came back of it; None where nothing did."""
    if notes := _NOTES.get():
        notes.status = status


def note_kept() -> None:
    """It was paid for before."""
    if notes := _NOTES.get():
        notes.kept = True
