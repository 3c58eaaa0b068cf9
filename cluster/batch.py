"""What a batch is, step by step, and what the files that a provider makes of it say. Knows no HTTP, no file and no Ray,
and reads no clock: `now` is an argument.

A batch goes through its stages in order, and each is on disk before the next begins:

    written     its calls are on disk, and no provider may have heard of it
    uploaded    the provider has its file, and may have made a batch of it
    created     the provider works on it
    finished    the provider is done with it, in whatever way
    collected   every answer that it brought is in the journal
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cluster.keys import Endpoint, Price
from cluster.retry import Trouble

SHARE_OF_PRICE = 0.5
URL = "/v1/chat/completions"


class Stage(StrEnum):
    """How far a batch is."""

    WRITTEN = "written"
    UPLOADED = "uploaded"
    CREATED = "created"
    FINISHED = "finished"
    COLLECTED = "collected"


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as this side knows it. `name` is told to the provider, as the file's name and in the metadata."""

    number: int
    name: str
    model: str
    calls: int
    base_url: str
    stage: Stage = Stage.WRITTEN
    key_name: str = ""
    file_id: str = ""
    batch_id: str = ""
    submitted_at: float = 0.0
    status: str = ""
    completed: int = 0
    output_file_id: str = ""
    error_file_id: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What validation found; `line` counts from 1, None: the batch as a whole."""

    code: str
    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as its provider tells it."""

    id: str
    status: str
    input_file_id: str
    completed: int = 0
    failed: int = 0
    output_file_id: str = ""
    error_file_id: str = ""
    faults: tuple[Fault, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status in ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class Rule:
    """When a batch is closed, and how often one is asked after. OpenAI takes 50,000 requests and 200 MB."""

    requests: int = 50_000
    bytes: int = 190_000_000
    quiet_s: float = 3.0  # no new call for so long
    longest_s: float = 600.0  # since its first call
    poll_s: tuple[float, float] = (1.0, 60.0)
    rest_s: float = 60.0  # where the provider holds all that it takes

    def fits(self, calls: int, size: int, more: int) -> bool:
        """Whether a call of `more` bytes still goes into a batch of so many calls and bytes."""
        return calls == 0 or (calls < self.requests and size + more <= self.bytes)

    def wait_s(self, first_at: float, last_at: float, now: float) -> float:
        """Seconds until a batch with calls from `first_at` to `last_at` is closed, if no other comes; 0: now."""
        return max(0.0, min(last_at + self.quiet_s, first_at + self.longest_s) - now)

    def poll_after_s(self, age_s: float) -> float:
        """Seconds between two questions after a batch that is so old: a tenth of its age, within bounds."""
        least, most = self.poll_s
        return min(most, max(least, age_s / 10))

    def smaller(self, calls: int) -> Rule:
        """After a batch of so many calls alone was more than the provider takes."""
        return replace(self, requests=max(1, calls // 2))


def discounted(endpoint: Endpoint) -> Endpoint:
    """The endpoint at the price of batches, for every model of it."""
    role_prices = {model: _half(price) for model, price in endpoint.role_prices.items()}
    return replace(endpoint, price=_half(endpoint.price) if endpoint.price else None, role_prices=role_prices)


def _half(price: Price) -> Price:
    cached = None if price.cached_input is None else price.cached_input * SHARE_OF_PRICE
    return Price(price.input * SHARE_OF_PRICE, price.output * SHARE_OF_PRICE, cached)


def read_remote(content: object) -> Remote:
    """A batch object. `Trouble` where it is none."""
    if not isinstance(content, dict) or not isinstance(content.get("id"), str) or "status" not in content:
        raise Trouble(200, "something that is no batch was answered", is_api=False)
    counts = _mapping(content.get("request_counts"))
    return Remote(
        content["id"],
        str(content["status"]),
        str(content.get("input_file_id") or ""),
        _whole(counts.get("completed")),
        _whole(counts.get("failed")),
        str(content.get("output_file_id") or ""),
        str(content.get("error_file_id") or ""),
        tuple(_fault(one) for one in _listed(_mapping(content.get("errors")).get("data"))),
    )


def _fault(content: Mapping[str, object]) -> Fault:
    line = content.get("line")
    said = " ".join(str(content.get("message") or "it does not say why").split())[:300]
    return Fault(str(content.get("code") or ""), said, line if isinstance(line, int) else None)


def after(batch: Batch, remote: Remote) -> Batch:
    """The batch when its provider has told about it."""
    return replace(
        batch,
        stage=Stage.FINISHED if remote.is_over else Stage.CREATED,
        batch_id=remote.id,
        status=remote.status,
        completed=remote.completed,
        output_file_id=remote.output_file_id,
        error_file_id=remote.error_file_id,
    )


def line_of(key: bytes, body: bytes) -> bytes:
    """One request as a line of the file that is uploaded."""
    return b'{"custom_id":"%s","method":"POST","url":"%s","body":%s}\n' % (key.hex().encode(), URL.encode(), body)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an output or error file: the body of an answer or refusal with its status, or neither and a code."""

    key: bytes
    status: int | None
    body: bytes
    code: str
    message: str


_NOT_BEGUN = frozenset({"batch_expired", "batch_cancelled"})


def read_item(line: bytes) -> Item:
    """`Trouble` where a line is not whole."""
    try:
        content = json.loads(line)
        key = bytes.fromhex(content["custom_id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Trouble(None, "a file of answers has a line that cannot be read") from None
    response, fault = _mapping(content.get("response")), _mapping(content.get("error"))
    status = response.get("status_code")
    return Item(
        key,
        status if isinstance(status, int) else None,
        json.dumps(response.get("body"), ensure_ascii=False).encode("utf-8", "backslashreplace"),
        str(fault.get("code") or ""),
        " ".join(str(fault.get("message") or "no answer, and no reason").split())[:300],
    )


def trouble_of(item: Item) -> Trouble:
    """Of an item without a response. What was not begun before its batch ended may be tried again."""
    return Trouble(503 if item.code in _NOT_BEGUN else None, item.message, item.code or None)


def is_full(faults: Sequence[Fault]) -> bool:
    """Whether a batch was refused because the provider holds as much for this account as it takes."""
    return any(one.code == "token_limit_exceeded" for one in faults)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[Mapping[str, object]]:
    return [_mapping(one) for one in value] if isinstance(value, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
