"""What travels: a request as the bytes of its body, and what the bytes of an answer or a refusal mean.

Of the openai package the type of the request is used, by the type checker alone: its client would check and copy each
request and answer field by field, which costs ten times what carrying them does. Read are the fields that are used and
nothing else: the text and the finish reason of the first choice, the model, the usage, and what an error says. A
model's reasoning, wherever it is told, is not read. Knows no HTTP library and reads no clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from cluster.chat import ChatAnswer, ChatRequest, Usage
from cluster.dialect import Dialect, Form
from cluster.keys import Endpoint, Secret
from cluster.retry import DEAD_KEY_CODES, Trouble, told_wait_s
from cluster.schema import with_schema

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

CHARACTERS_PER_TOKEN = 4
"""Where an endpoint counts no tokens."""

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_escaped = json.JSONEncoder(separators=(",", ":")).encode
_MASKED_KEY = re.compile(r"\S*\*{2,}\S*")


def body_of(request: ChatRequest, model: str, dialect: Dialect) -> bytes:
    """The JSON body."""
    content = _params(request, model, dialect)
    try:
        return _compact(content).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8, but a JSON escape
        return _escaped(content).encode()


def _params(request: ChatRequest, model: str, dialect: Dialect) -> CompletionCreateParamsNonStreaming:
    schema, messages = request.schema, request.messages
    if schema is not None and dialect.form is not Form.JSON_SCHEMA:
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
    return params


def read_answer(body: bytes, request: ChatRequest, model: str, endpoint: Endpoint) -> tuple[ChatAnswer, bool]:
    """The answer in the body of a 200, and whether the endpoint counted its tokens (else they are estimated).

    Raises `Trouble` where it is no answer, or one that the provider's filter took away.
    """
    content, choice = _completion(body, endpoint.base_url)
    finish_reason = choice.get("finish_reason") or "stop"
    if finish_reason == "content_filter":
        raise Trouble(400, "the provider's content filter refused the answer", code="content_filter")
    message = choice.get("message")
    text = _text(message.get("content") if isinstance(message, dict) else None)
    counted = _counted(content.get("usage"))
    prompt, written = counted or _estimated(request, text)
    cost = endpoint.price.cost(prompt, written) if endpoint.price else 0.0
    told_model = str(content.get("model") or model)
    return ChatAnswer(text, told_model, str(finish_reason), Usage(1, prompt, written, cost)), counted is not None


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
        status, said = error.get("code"), one_line(error.get("message") or "an error")
        if isinstance(status, int) and 400 <= status < 600:
            return Trouble(status, said)
        return Trouble(200, f"{url} answered an error with status 200: {said}", is_api=False)
    return Trouble(200, f"{url} answered a completion without choices", is_api=False)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts: those of a kind other than text are reasoning
        return "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
    return ""


def _counted(usage: object) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    prompt, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) and not isinstance(written, int):
        return None
    return prompt if isinstance(prompt, int) else 0, written if isinstance(written, int) else 0


def _estimated(request: ChatRequest, text: str) -> tuple[int, int]:
    asked = sum(len(message["content"]) for message in request.messages)
    return -(-asked // CHARACTERS_PER_TOKEN), -(-len(text) // CHARACTERS_PER_TOKEN)


def read_refusal(status: int, headers: Mapping[str, str], body: bytes, url: str, secret: Secret, now: float) -> Trouble:
    """What a status other than 200 means, `now` in Unix seconds; of the key no part is in it."""
    said = _error_in(body)
    error = said or {}
    code, kind = error.get("code"), error.get("type")
    if not isinstance(code, str):
        code = kind if isinstance(kind, str) and kind in DEAD_KEY_CODES else None
    message = error.get("message")
    shown = one_line(_without_key(message, secret)) if isinstance(message, str) and message else ""
    return Trouble(
        status,
        shown or f"HTTP {status} from {url}",
        code,
        told_wait_s(headers, now) if status in (429, 503) else None,
        is_api=said is not None,
        field=_refused_field(error),
    )


def _error_in(body: bytes) -> dict[str, object] | None:
    """The error object of a body: in `error`, as a text in it, in a list of one, or the body itself; None: no JSON."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        return None
    error = content.get("error", content)
    return error if isinstance(error, dict) else {"message": error}


def _refused_field(error: dict[str, object]) -> str | None:
    """The field of the request that an error names: OpenAI's `param`, or the place in FastAPI's `detail`."""
    if isinstance(param := error.get("param"), str) and param:
        return param
    detail = error.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else None
    place = first.get("loc") if isinstance(first, dict) else None
    return str(place[1]) if isinstance(place, list) and len(place) > 1 else None


def _without_key(message: str, secret: Secret) -> str:
    """Endpoints quote the key that they refuse, whole or with stars in it."""
    key = secret.reveal()
    return _MASKED_KEY.sub("…", message.replace(key, "…") if key else message)


def one_line(text: object) -> str:
    """At most 300 characters, without line breaks."""
    return " ".join(str(text).split())[:300]
