"""What spans say of a model call, by OpenTelemetry's conventions for generative AI and, where these have no word, under
`populace.`: facts of the request and the answer, and none of their words."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cluster.call_notes import CallNotes
from cluster.chat import ChatAnswer, ChatRequest

if TYPE_CHECKING:
    from opentelemetry.trace import Span

Told = dict[str, str | int | float | bool | list[str]]


def asked(request: ChatRequest, notes: CallNotes) -> Told:
    """Of a call, however it ended."""
    told: Told = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",  # whose API it is, whoever serves it
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.seed": request.seed,
        "populace.role": request.role.value,
        "populace.call.item": request.item,
        "populace.call.attempts": notes.attempts,
        "populace.call.journal_hit": notes.kept,
    }
    if notes.status is not None:
        told["http.response.status_code"] = notes.status
    if endpoint := notes.endpoint:
        told["gen_ai.request.model"] = endpoint.model_for(request.role, request.model)
        told["populace.endpoint"] = endpoint.name
        told["server.address"] = urlsplit(endpoint.base_url).hostname or ""
    return told


def answered(answer: ChatAnswer) -> Told:
    """Of one that brought an answer."""
    return {
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [answer.finish_reason],
        "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
    }


def failed(span: Span, kind: str) -> None:
    """Makes the span one of an error."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
