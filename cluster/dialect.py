"""How an endpoint wants to be asked: OpenAI's API is spoken with accents, and a refusal tells which.

Decides what to leave out or to name otherwise after a 400 or 422, by the field that the refusal names, or by going
through what endpoints are known to differ in. Sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from cluster.errors import FailureKind
from cluster.retry import Action, Trouble, judge


class Form(StrEnum):
    """What `response_format` asks for when a request has a schema."""

    JSON_SCHEMA = "json_schema"
    JSON_OBJECT = "json_object"
    TEXT = "text"  # no response_format at all


@dataclass(frozen=True, slots=True)
class Dialect:
    """The fields of a request that endpoints differ in. `left_out` holds those of temperature and seed not taken."""

    form: Form = Form.JSON_SCHEMA
    max_completion_tokens: bool = False
    left_out: frozenset[str] = frozenset()


@dataclass(slots=True)
class Known:
    """What was found out about one model at one endpoint. What has worked once is no longer doubted, so that a request
    that is bad in itself is refused as what it is and changes nothing for the others."""

    dialect: Dialect = Dialect()
    length_works: bool = False
    form_works: bool = False

    def is_open(self, structured: bool) -> bool:
        """Whether an answer to such a request would tell something new."""
        return not self.length_works or (structured and not self.form_works)

    def worked(self, dialect: Dialect, structured: bool) -> bool:
        """Takes note of an answer; True if requests are made otherwise from now on."""
        form = dialect.form if structured and not self.form_works else self.dialect.form
        learned = replace(dialect, form=form)
        changed = learned != self.dialect
        self.dialect, self.length_works = learned, True
        self.form_works = self.form_works or structured
        return changed


def is_refusal(trouble: Trouble) -> bool:
    """Whether the endpoint may have refused how it was asked, and not who asks or what."""
    verdict = judge(trouble)
    told = verdict.action is Action.RETIRE or verdict.kind is FailureKind.FILTERED
    return trouble.status in (400, 422) and not told


def next_dialect(known: Known, tried: list[Dialect], refused_field: str | None, structured: bool) -> Dialect | None:
    """What to try after the last of `tried` was refused; None: the request itself is at fault.

    `refused_field` is the field that the refusal names, if it names one. `structured` requests have a schema.
    """
    if known.dialect not in tried:  # another request found it out meanwhile
        return known.dialect
    guess = _named(tried[-1], refused_field, structured) if refused_field else _unnamed(known, tried, structured)
    return guess if guess not in tried else None


def _named(last: Dialect, field: str, structured: bool) -> Dialect | None:
    field = field.partition(".")[0]
    if field in ("response_format", "json_schema") and structured:
        return _plainer(last)
    if field == "max_tokens":
        return replace(last, max_completion_tokens=True)
    if field in ("temperature", "seed"):
        return replace(last, left_out=last.left_out | {field})
    return None


def _unnamed(known: Known, tried: list[Dialect], structured: bool) -> Dialect | None:
    """First a plainer form, then, where `max_tokens` was never taken, the other name for it with each form."""
    last = tried[-1]
    if structured and (plainer := _plainer(last)):
        return plainer
    if known.length_works or last.max_completion_tokens:
        return None
    return replace(tried[0], max_completion_tokens=True)


def _plainer(dialect: Dialect) -> Dialect | None:
    if dialect.form is Form.TEXT:
        return None
    return replace(dialect, form=Form.JSON_OBJECT if dialect.form is Form.JSON_SCHEMA else Form.TEXT)
