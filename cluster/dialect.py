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
    """The fields of a request that endpoints differ in. `left_out` holds those of temperature, seed and tool_choice not
    taken; where `tools` are not, they stand in the prompt, and the answer has a schema."""

    form: Form = Form.JSON_SCHEMA
    max_completion_tokens: bool = False
    left_out: frozenset[str] = frozenset()
    tools: bool = True


@dataclass(slots=True)
class Known:
    """What was found out about one model at one endpoint. What has worked once is no longer doubted, so that a request
    that is bad in itself is refused as what it is and changes nothing for the others."""

    dialect: Dialect = Dialect()
    length_works: bool = False
    form_works: bool = False
    tools_work: bool = False

    def is_open(self, structured: bool, tooled: bool = False) -> bool:
        """Whether an answer to such a request would tell something new."""
        return not self.length_works or (structured and not self.form_works) or (tooled and not self.tools_work)

    def worked(self, dialect: Dialect, structured: bool, tooled: bool = False, called: bool = False) -> bool:
        """Takes note of an answer, and whether it `called` a tool; True if requests are made otherwise from now on."""
        structured = structured or (tooled and not dialect.tools)
        form = dialect.form if structured and not self.form_works else self.dialect.form
        tools = dialect.tools if tooled and not self.tools_work else self.dialect.tools
        learned = replace(dialect, form=form, tools=tools)
        changed = learned != self.dialect
        self.dialect, self.length_works = learned, True
        self.form_works = self.form_works or structured
        self.tools_work = self.tools_work or (tooled and (called or not dialect.tools))
        return changed

    def in_prompt(self, dialect: Dialect) -> Dialect | None:
        """What to try after an answer without the call that it had to have: an endpoint may take `tools` and never show
        them to its model. None: it is known not to."""
        return None if self.tools_work or not dialect.tools else replace(dialect, tools=False)


def is_refusal(trouble: Trouble) -> bool:
    """Whether the endpoint may have refused how it was asked, and not who asks or what."""
    verdict = judge(trouble)
    told = verdict.action is Action.RETIRE or verdict.kind is FailureKind.FILTERED
    return trouble.status in (400, 422) and not told


def next_dialect(
    known: Known, tried: list[Dialect], refused_field: str | None, structured: bool, tooled: bool = False
) -> Dialect | None:
    """What to try after the last of `tried` was refused; None: the request itself is at fault.

    `refused_field` is the field that the refusal names, if it names one. `structured` requests have a schema, `tooled`
    ones tools.
    """
    if known.dialect not in tried:  # another request found it out meanwhile
        return known.dialect
    last = tried[-1]
    structured = structured or (tooled and not last.tools)
    if refused_field:
        guess = _named(last, refused_field.partition(".")[0], structured, tooled)
    else:
        guess = _unnamed(known, tried, structured, tooled)
    return guess if guess not in tried else None


def _named(last: Dialect, field: str, structured: bool, tooled: bool) -> Dialect | None:
    if field in ("response_format", "json_schema") and structured:
        return _plainer(last)
    if field == "max_tokens":
        return replace(last, max_completion_tokens=True)
    if field == "tools" and tooled:
        return replace(last, tools=False)
    if field in ("temperature", "seed") or (field == "tool_choice" and tooled):
        return replace(last, left_out=last.left_out | {field})
    return None


def _unnamed(known: Known, tried: list[Dialect], structured: bool, tooled: bool) -> Dialect | None:
    """First without `tools`, then a plainer form, then, where `max_tokens` was never taken, the other name for it with
    each of these."""
    last = tried[-1]
    if tooled and (in_prompt := known.in_prompt(last)):
        return in_prompt
    if structured and (plainer := _plainer(last)):
        return plainer
    if known.length_works or last.max_completion_tokens:
        return None
    return replace(tried[0], max_completion_tokens=True)


def _plainer(dialect: Dialect) -> Dialect | None:
    if dialect.form is Form.TEXT:
        return None
    return replace(dialect, form=Form.JSON_OBJECT if dialect.form is Form.JSON_SCHEMA else Form.TEXT)
