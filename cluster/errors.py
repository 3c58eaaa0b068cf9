"""Every error that populace raises on purpose, drawn as one tree.

    PopulaceError
    ├── UserError        wrong use, wrong config or unusable input: exit code 2, nothing was paid
    ├── Halt             the run cannot go on, its state is kept: exit code 1, resumable
    └── CallFailed       one model call is given up; says whether the item or the run ends with it

Errors of other libraries become one of these where they enter, by type and status code, never by their text.
"""

from __future__ import annotations

from enum import StrEnum


class PopulaceError(Exception):
    """Base of all errors whose message is meant for the user."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message alone."""
        return [f"populace: {self}"]


class UserError(PopulaceError):
    """The command, the config or the input cannot be used as it is; the message names the thing and the way out."""


class Halt(PopulaceError):
    """The run has to stop now (no usable key, no endpoint, a full disk); what is done stays done."""


class FailureKind(StrEnum):
    """Why an item was given up; the `kind` column of `failures/`."""

    REFUSED = "refused"  # 400/404/413/422: the endpoint will never take this request
    FILTERED = "filtered"  # the provider's content filter
    TRUNCATED = "truncated"  # finish_reason "length"
    MALFORMED = "malformed"  # not what was asked for, after every try
    EMPTY = "empty"  # an answer without text
    EXHAUSTED = "exhausted"  # 408/409/5xx/timeouts/resets until the tries ran out
    NOT_AN_API = "not_an_api"  # HTML or another body that is no chat completion
    UNREADABLE = "unreadable"  # a document that cannot be decoded or parsed
    EMPTY_DOCUMENT = "empty_document"
    GENERATED = "generated"  # a document that a model wrote, where such are refused
    NO_PERSONA = "no_persona"  # a text that was given as a persona and is none
    TOO_FEW = "too_few"  # fewer personas than asked for, after every try
    RETRIEVAL = "retrieval"  # a retriever of the user's own failed
    CALLBACK = "callback"  # code of the user's own raised, or brought nothing; the message carries its traceback
    BUG = "bug"  # our own mistake; the message carries the traceback


class CallFailed(PopulaceError):
    """One model call is given up for good; its item becomes a row in `failures/`."""

    def __init__(self, kind: FailureKind, message: str, attempts: int = 1) -> None:
        super().__init__(kind, message, attempts)
        self.kind, self.message, self.attempts = kind, message, attempts

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
