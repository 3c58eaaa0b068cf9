"""What travels: a request as the bytes of its body, and what the bytes of an answer mean.

Of the openai package the type of the request is used, by the type checker alone: its client would check and copy each
request and answer field by field, which costs ten times what carrying them does. Read are the fields that are used and
nothing else: the text, the calls of tools and the finish reason of the first choice, the model and the usage. A model's
reasoning, wherever it is told, is not read; what a refusal says is for `cluster.refusal`. Knows no HTTP library and
reads no clock.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cluster.chat import ChatAnswer, ChatRequest, Message, Usage, words_of
from cluster.dialect import Dialect, Form
from cluster.keys import Endpoint
from cluster.refusal import one_line, refused
from cluster.retry import Trouble
from cluster.schema import with_schema
from cluster.tool_calls import ToolCall, calls_in_text, told_calls
from cluster.tools_in_prompt import asked_in_words

if TYPE_CHECKING:
    from openai.types.chat import (
        ChatCompletionMessageParam,
        ChatCompletionToolChoiceOptionParam,
        ChatCompletionToolUnionParam,
    )
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

CHARACTERS_PER_TOKEN = 4
"""Where an endpoint counts no tokens."""

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_escaped = json.JSONEncoder(separators=(",", ":")).encode


def body_of(request: ChatRequest, model: str, dialect: Dialect) -> bytes:
    """The JSON body."""
    content = _params(request, model, dialect)
    try:
        return _compact(content).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8, but a JSON escape
        return _escaped(content).encode()


def _params(request: ChatRequest, model: str, dialect: Dialect) -> CompletionCreateParamsNonStreaming:
    schema, messages = request.schema, request.messages
    takes_tools = bool(request.tools) and dialect.tools
    if request.tools and not takes_tools:
        messages, schema = asked_in_words(request)
    elif schema is not None and dialect.form is not Form.JSON_SCHEMA:
        messages = with_schema(messages, schema)
    params: CompletionCreateParamsNonStreaming = {
        "model": model,
        "messages": cast("list[ChatCompletionMessageParam]", list(messages)),
    }
    if "temperature" not in dialect.left_out:
        params["temperature"] = request.temperature
    if "seed" not in dialect.left_out:
        params["seed"] = request.seed
    if dialect.max_completion_tokens:
        params["max_completion_tokens"] = request.max_tokens
    else:
        params["max_tokens"] = request.max_tokens
    if schema is not None and dialect.form is Form.JSON_SCHEMA:
        params["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": cast("dict[str, object]", schema)},
        }
    elif schema is not None and dialect.form is Form.JSON_OBJECT:
        params["response_format"] = {"type": "json_object"}
    if takes_tools:
        params["tools"] = cast("list[ChatCompletionToolUnionParam]", list(request.tools or ()))
        if "tool_choice" not in dialect.left_out:
            params["tool_choice"] = cast("ChatCompletionToolChoiceOptionParam", request.tool_choice.value)
    return params


def read_answer(body: bytes, request: ChatRequest, model: str, endpoint: Endpoint) -> tuple[ChatAnswer, bool]:
    """The answer in the body of a 200, and whether the endpoint counted its tokens (else they are estimated).

    Raises `Trouble` where it is no answer, or one that the provider's filter took away.
    """
    content, choice = _completion(body, endpoint.base_url)
    if isinstance(error := choice.get("error"), dict):
        raise _told_in_200(error, endpoint.base_url)
    finish_reason = choice.get("finish_reason") or "stop"
    if finish_reason == "content_filter":
        raise Trouble(400, "the provider's content filter refused the answer", code="content_filter")
    text, calls = _said(choice.get("message"), request)
    usage = content.get("usage")
    counted = _counted(usage)
    prompt, written = counted or _estimated(request, text, calls)
    price = endpoint.price_for(model)
    cost = price.cost(prompt, written, min(prompt, _cached(usage))) if price else 0.0
    told_model = str(content.get("model") or model)
    spent = Usage(1, prompt, written, cost)
    return ChatAnswer(text, told_model, str(finish_reason), spent, calls), counted is not None


def _completion(body: bytes, url: str) -> tuple[dict[str, object], dict[str, object]]:
    """The completion and its first choice."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        fault = error
    else:
        choices = content.get("choices") if isinstance(content, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return content, choices[0]
        raise _no_completion(content, url)
    if body.lstrip()[:1] == b"<":
        raise Trouble(200, f"{url} answered HTML and no chat completion (is /v1 missing?)", is_api=False)
    raise Trouble(200, f"an unreadable body from {url}: {one_line(fault)}", is_api=False)


def _no_completion(content: object, url: str) -> Trouble:
    """A whole JSON text with status 200 that is no completion; gateways tell errors so, with the status inside."""
    if not isinstance(content, dict):
        return Trouble(200, f"{url} answered something that is no chat completion (is /v1 missing?)", is_api=False)
    if isinstance(error := content.get("error"), dict):
        return _told_in_200(error, url)
    return Trouble(200, f"{url} answered a completion without choices", is_api=False)


def _told_in_200(error: dict[str, object], url: str) -> Trouble:
    status, said = error.get("code"), one_line(error.get("message") or "an error")
    if isinstance(status, int) and 400 <= status < 600:
        return refused(status, error, said)
    return Trouble(200, f"{url} answered an error with status 200: {said}", is_api=False)


def _said(message: object, request: ChatRequest) -> tuple[str, tuple[ToolCall, ...]]:
    """The text and the calls of a message. Calls are read only where tools were offered; of a model that writes them
    into the text, from there."""
    told = message if isinstance(message, dict) else {}
    text = _text(told.get("content"))
    if not request.tools:
        return text, ()
    if calls := told_calls(told.get("tool_calls")):
        return text, calls
    calls, text = calls_in_text(text)
    return text, calls


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts: those of a kind other than text are reasoning
        return "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
    return ""


def _counted(usage: object) -> tuple[int, int] | None:
    """Tokens of the prompt and of all that was written: Gemini and others tell what was thought in the total alone."""
    if not isinstance(usage, dict):
        return None
    told = [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if not isinstance(told[0], int) and not isinstance(told[1], int):
        return None
    prompt, written, total = (value if isinstance(value, int) else 0 for value in told)
    return prompt, max(written, total - prompt)


def _cached(usage: object) -> int:
    """Of the prompt's tokens those that cost less, as OpenAI tells them, or DeepSeek."""
    told = usage if isinstance(usage, dict) else {}
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else told.get("prompt_cache_hit_tokens")
    return max(0, cached) if isinstance(cached, int) else 0


def _estimated(request: ChatRequest, text: str, calls: Sequence[ToolCall]) -> tuple[int, int]:
    asked = sum(_size(message) for message in request.messages) + len(_compact(request.tools) if request.tools else "")
    written = len(text) + sum(len(call.name) + len(call.arguments) for call in calls)
    return -(-asked // CHARACTERS_PER_TOKEN), -(-written // CHARACTERS_PER_TOKEN)


def _size(message: Message) -> int:
    calls = message.get("tool_calls")
    return len(words_of(message)) + (len(_compact(calls)) if calls else 0)
