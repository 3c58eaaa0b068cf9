"""What a failed request means: again at once, again with another key, later, or never.

Decides by status code and error code, never by the text of a message. Knows no HTTP library and reads no clock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from math import isfinite

from cluster.errors import FailureKind


class Action(StrEnum):
    """What to do next about a failed request."""

    COOL = "cool"  # the key rests; the request goes on with another one, and does not count as tried
    RETIRE = "retire"  # the key is dead; the request goes on with another one
    OUTAGE = "outage"  # nobody answers there; the endpoint rests, the request goes on elsewhere
    RETRY = "retry"  # this attempt is lost; try again, a bounded number of times
    FAIL = "fail"  # final for this item


@dataclass(slots=True, eq=False)
class Trouble(Exception):
    """A request that brought no answer, in our words.

    `status` is None where no response arrived. `retry_after_s` is the endpoint's own word in seconds, if it gave one.
    `field` is the field of the request that the endpoint names as the one at fault. Where nobody is there to answer,
    or not yet, `connected` is False.
    """

    status: int | None
    message: str
    code: str | None = None
    retry_after_s: float | None = None
    connected: bool = True
    is_api: bool = True
    field: str | None = None

    @property
    def short(self) -> str:
        """Status and code alone: why a key is dead."""
        return f"HTTP {self.status}{f' {self.code}' if self.code else ''}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The action, and the kind under which the item fails should it come to that."""

    action: Action
    kind: FailureKind


DEAD_KEY_CODES = frozenset(
    {"insufficient_quota", "invalid_api_key", "account_deactivated", "billing_not_active", "API_KEY_INVALID"}
)
LOADING = "unavailable_error"  # llama.cpp's word for a model that is not ready yet


def judge(trouble: Trouble) -> Verdict:
    """The verdict on one failed request."""
    status = trouble.status
    if not trouble.connected:
        return Verdict(Action.OUTAGE, FailureKind.EXHAUSTED)
    if status is None:
        return Verdict(Action.RETRY, FailureKind.EXHAUSTED)
    if trouble.code == "content_filter":
        return Verdict(Action.FAIL, FailureKind.FILTERED)
    if status in (401, 402, 403) or trouble.code in DEAD_KEY_CODES:
        return Verdict(Action.RETIRE, FailureKind.REFUSED)
    if status == 429:
        return Verdict(Action.COOL, FailureKind.EXHAUSTED)
    if not trouble.is_api:
        return Verdict(Action.RETRY, FailureKind.NOT_AN_API)
    if status in (408, 409) or status >= 500:
        return Verdict(Action.RETRY, FailureKind.EXHAUSTED)
    return Verdict(Action.FAIL, FailureKind.REFUSED)


def may_be_paid(trouble: Trouble) -> bool:
    """Whether the endpoint may have done the work, and bill it, though no usable answer came back."""
    if trouble.status is None:
        return trouble.connected
    return trouble.status < 400 or trouble.code == "content_filter"


def backoff_s(attempt: int, jitter: float, base_s: float = 0.5, cap_s: float = 30.0) -> float:
    """Seconds before attempt number `attempt` (1 = first retry): exponential with full jitter, `jitter` in [0, 1).

    A tenth of the ceiling is always waited, so that a dead endpoint is not hammered.
    """
    ceiling = float(min(cap_s, base_s * 2 ** min(attempt - 1, 10)))
    return ceiling * (0.1 + 0.9 * jitter)


def told_wait_s(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that an endpoint asks to be left alone, `now` in Unix seconds; None where it does not say.

    `retry-after-ms`, else `Retry-After`, else `x-ratelimit-reset-requests` and `-tokens`: of these the later one, of
    what is used up if it tells what remains; else `x-ratelimit-reset`. A time of day is counted from the answer's own
    `Date` where it has one, for this machine's clock may be wrong. Names are in lower case; the mapping need not care.
    """
    sent_at = _unix_s(headers.get("date"))
    now = now if sent_at is None else sent_at
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    if (seconds := retry_after_s(headers.get("retry-after"), now)) is not None:
        return seconds
    resets = {unit: duration_s(headers.get(f"x-ratelimit-reset-{unit}")) for unit in ("requests", "tokens")}
    used_up = [unit for unit in resets if not _number(headers.get(f"x-ratelimit-remaining-{unit}"))]
    told = [resets[unit] for unit in used_up or resets]
    latest = max((seconds for seconds in told if seconds is not None), default=None)
    return _until_s(headers.get("x-ratelimit-reset"), now) if latest is None else latest


_UNIX_S, _UNIX_MS = 1e9, 1e12  # no number of seconds to wait is as large as the time of day


def _until_s(value: str | None, now: float) -> float | None:
    """Seconds until a Unix time, in seconds or (OpenRouter) milliseconds; or a duration as it stands."""
    told = duration_s(value)
    if told is None or told < _UNIX_S:
        return told
    return max(0.0, (told / 1000 if told >= _UNIX_MS else told) - now)


_UNIT_S = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)", re.ASCII)


def duration_s(value: str | None) -> float | None:
    """Seconds of `120ms`, `1s`, `6m0s`, `1h2m3.5s`, or of a plain number of seconds; None if unreadable."""
    value = (value or "").strip()
    parts = _PART.findall(value)
    if parts and "".join(number + unit for number, unit in parts) == value:
        return sum(float(number) * _UNIT_S[unit] for number, unit in parts)
    return _number(value)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if isfinite(number) else None


def retry_after_s(value: str | None, now: float) -> float | None:
    """Seconds from a Retry-After header (delta seconds or an HTTP date), `now` in Unix seconds; None if unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if isfinite(seconds) else None
    except ValueError:
        pass
    until = _unix_s(value)
    return None if until is None else max(0.0, until - now)


def _unix_s(date: str | None) -> float | None:
    """Unix seconds of an HTTP date; None if unreadable."""
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
