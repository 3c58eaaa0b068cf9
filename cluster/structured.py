"""Asks a model for a value of a given shape: the schema goes along, the answer is read as JSON or what can be made of
it, pydantic checks it, and one correction turn is granted.

Whether the schema goes as `response_format` or into the prompt is the endpoint's affair (`cluster.dialect`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

import json_repair
from pydantic import BaseModel, ValidationError

from cluster.chat import ChatAnswer, ChatModel, ChatRequest, Usage
from cluster.errors import CallFailed, FailureKind
from cluster.schema import in_words, strict_schema

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Shape = TypeVar("Shape", bound=BaseModel)

_FAULTS_TOLD = 5
_SHOWN = 120
_STARTS_TRIED = 50
_FENCED = re.compile(r"```\w*[^\S\n]*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Structured(Generic[Shape]):
    """A value of the shape that was asked for; `usage` is that of every answer on the way to it."""

    value: Shape
    usage: Usage
    model: str
    finish_reason: str


class Misread(Exception):
    """An answer is not what was asked for; says why, in words that a model can act on."""


async def ask_for(chat: ChatModel, request: ChatRequest, shape: type[Shape]) -> Structured[Shape]:
    """A value of `shape`. A request without a schema is given that of the shape.

    Raises `CallFailed`: MALFORMED where the corrected answer is wrong too, TRUNCATED where the tokens ran out; and
    whatever the chat raises.
    """
    if request.schema is None:
        request = replace(request, schema=strict_schema(shape))
    first = await chat.answer(request)
    try:
        return Structured(_read_whole(first, request, shape), first.usage, first.model, first.finish_reason)
    except Misread as fault:
        second = await chat.answer(correction(request, first.text, str(fault)))
    usage = first.usage + second.usage
    try:
        return Structured(_read_whole(second, request, shape), usage, second.model, second.finish_reason)
    except Misread as fault:
        said = f"{second.model} answered twice what is not asked for, at last: {fault} ({second.text[:_SHOWN]!r})"
        raise CallFailed(FailureKind.MALFORMED, said, attempts=2) from None


def _read_whole(answer: ChatAnswer, request: ChatRequest, shape: type[Shape]) -> Shape:
    """As `read`; but what was cut off is not mended."""
    if answer.finish_reason != "length":
        return read(answer.text, shape)
    try:
        return shape.model_validate_json(answer.text)
    except ValidationError:
        said = f"{answer.model} was cut off at {request.max_tokens} tokens: …{answer.text[-_SHOWN:]!r}"
        raise CallFailed(FailureKind.TRUNCATED, said) from None


def correction(request: ChatRequest, answered: str, fault: str) -> ChatRequest:
    """The request once more after an answer that has this fault; a call of its own."""
    ask = f"That cannot be used: {fault}. {in_words(request.schema)}" if request.schema else fault
    turns = [{"role": "assistant", "content": answered}, {"role": "user", "content": ask}]
    return replace(request, messages=[*request.messages, *turns], item=f"{request.item}/corrected")


def read(text: str, shape: type[Shape]) -> Shape:
    """The value in a model's answer: JSON, fenced or with words around it, or what can be made of broken JSON.

    Raises `Misread`.
    """
    faults: list[str] = []
    for value in _values(text.rpartition("</think>")[2]):
        try:
            return shape.model_validate(value)
        except ValidationError as error:
            faults.append("; ".join(map(_in_words, error.errors(include_url=False)[:_FAULTS_TOLD])))
    raise Misread(faults[0] if faults else "it holds no JSON object")


def _in_words(error: ErrorDetails) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"]).lstrip(".")
    return f"{place or 'the answer'}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _values(text: str) -> Iterator[dict[str, object]]:
    """The JSON objects in a text, the likeliest first: the whole, what is fenced, what begins at the first brace or
    can be made of it, and last what begins at a later one."""
    if isinstance(whole := _parsed(text), dict):
        yield whole
        return
    for fenced in _FENCED.finditer(text):
        yield from _objects(_parsed(fenced[1]) or _repaired(fenced[1]))
    braces = [brace.start() for brace in islice(re.finditer(r"\{", text), _STARTS_TRIED)]
    for start in braces[:1]:
        yield from _objects(_beginning(text, start))
        yield from _objects(_repaired(text[start:]))
    for start in braces[1:]:
        yield from _objects(_beginning(text, start))


def _objects(value: object) -> Iterator[dict[str, object]]:
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            yield one


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _beginning(text: str, start: int) -> object:
    """The JSON value at `start`, whatever follows it."""
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _repaired(text: str) -> object:
    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):
        return None
