"""What a refusal means: the many ways in which endpoints tell an error, read into one `Trouble`.

Read are statuses, codes and fields, never the words of a message. Knows no HTTP library and reads no clock.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from cluster.keys import Secret
from cluster.retry import DEAD_KEY_CODES, LOADING, Trouble, duration_s, told_wait_s

_MASKED_KEY = re.compile(r"\S*\*{2,}\S*")
_HIDDEN_PART = 6  # characters of a key that are hidden where an endpoint quotes them
_HOLE = "\0"
_HOLES = re.compile(f"{_HOLE}+")
_TOLD_BY_TYPE = DEAD_KEY_CODES | {LOADING}


def read_refusal(status: int, headers: Mapping[str, str], body: bytes, url: str, secret: Secret, now: float) -> Trouble:
    """What a status other than 200 means, `now` in Unix seconds; of the key no part is in it."""
    error = _error_in(body)
    if error is None:
        return Trouble(status, f"HTTP {status} from {url}", retry_after_s=_wait_s(status, headers, now), is_api=False)
    message = error.get("message")
    shown = one_line(without_key(message, secret)) if isinstance(message, str) and message else ""
    trouble = refused(status, error, shown or f"HTTP {status} from {url}")
    told = [_wait_s(status, headers, now), _asked_delay_s(error), _wait_s(status, _passed_on(error), now)]
    trouble.retry_after_s = next((wait for wait in told if wait is not None), None)
    return trouble


def refused(status: int, error: Mapping[str, object], shown: str) -> Trouble:
    """The trouble that an error object tells, without how long it lasts."""
    code = _code(error)
    return Trouble(status, shown, code, connected=code != LOADING, field=_refused_field(error))


def _wait_s(status: int, headers: Mapping[str, str], now: float) -> float | None:
    return told_wait_s(headers, now) if status in (429, 503) else None


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


def _code(error: Mapping[str, object]) -> str | None:
    """OpenAI's `code`, Google's `reason`, a `type` that says as much, or what OpenRouter's metadata comes to."""
    code, kind = error.get("code"), error.get("type")
    if isinstance(code, str):
        return code
    if isinstance(kind, str) and kind in _TOLD_BY_TYPE:
        return kind
    if "flagged_input" in _metadata(error):
        return "content_filter"
    reasons = (one.get("reason") for one in _details(error, "google.rpc.ErrorInfo"))
    return next((reason for reason in reasons if isinstance(reason, str)), None)


def _details(error: Mapping[str, object], kind: str) -> Iterator[dict[str, object]]:
    """Google's details of a kind."""
    details = error.get("details")
    for one in details if isinstance(details, list) else []:
        if isinstance(one, dict) and str(one.get("@type", "")).endswith(kind):
            yield one


def _asked_delay_s(error: Mapping[str, object]) -> float | None:
    """Google's word for Retry-After."""
    delays = (one.get("retryDelay") for one in _details(error, "google.rpc.RetryInfo"))
    return next((duration_s(delay) for delay in delays if isinstance(delay, str)), None)


def _metadata(error: Mapping[str, object]) -> dict[str, object]:
    metadata = error.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _passed_on(error: Mapping[str, object]) -> dict[str, str]:
    """The headers that OpenRouter passes on in a body, their names in lower case."""
    headers = _metadata(error).get("headers")
    return {name.lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _refused_field(error: Mapping[str, object]) -> str | None:
    """The field of the request that an error names: OpenAI's `param`, or the place in FastAPI's `detail`."""
    if isinstance(param := error.get("param"), str) and param:
        return param
    detail = error.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else None
    place = first.get("loc") if isinstance(first, dict) else None
    return str(place[1]) if isinstance(place, list) and len(place) > 1 else None


def without_key(message: str, secret: Secret) -> str:
    """Endpoints quote the key that they refuse: whole, in part, or with stars in it."""
    key, hidden = secret.reveal(), set[int]()
    size = min(_HIDDEN_PART, len(key))
    for part in {key[start : start + size] for start in range(len(key) - size + 1)} if key else ():
        at = message.find(part)
        while at >= 0:
            hidden.update(range(at, at + size))
            at = message.find(part, at + 1)
    shown = [_HOLE if at in hidden else character for at, character in enumerate(message)] if hidden else message
    return _MASKED_KEY.sub("…", _HOLES.sub("…", "".join(shown)))


def one_line(text: object) -> str:
    """At most 300 characters, without line breaks."""
    return " ".join(str(text).split())[:300]
