"""The tests' own OpenAI-compatible model server: a real HTTP process that misbehaves on request and keeps the truth.

    python tests/model_server.py --port 0 --latency 0.05 --keys k1,k2 --share reset=0.1,500=0.2

prints one line, `{"port": …, "base_url": …, "pid": …}`, and then nothing. Binds 127.0.0.1, and dies with the thread
that started it (Linux). Knows nothing of populace: it sees requests alone.

Served: `POST /v1/chat/completions`, `POST /v1/embeddings` (see `embedding_answers.py`), `GET /v1/models` and
`/v1/models/NAME`, `/v1/files` and `/v1/batches` (see `batch_provider.py`), `GET` and `POST /control` (read and change
`Options`, JSON), `POST /control/reset` (forget counts, log and batches), `GET /control/stats`,
`GET /control/log?offset=0&limit=10000` (a JSON object per line).

An answer is a function of messages, seed and response_format, in any process and order; for those about the people of
simulations see `simulation_answers.py`, for those of a judge `judge_answers.py`, for calls of tools `tool_answers.py`.
A fault is chosen by, in this order: who asks (`keys`, `dying`), what is asked (`models`, `refuse`, `marker`), when
(`storm`, `rpm`, `tpm`), the how manieth request it is (`script`), and the hash of the request with the number of times
that it was seen (`share`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import math
import os
import re
import signal
import socket
import struct
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field, fields
from email.utils import formatdate
from hashlib import blake2b
from typing import Any

from aiohttp import web
from batch_provider import ENDINGS, BatchProvider
from batch_provider import FAULTS as BATCH_FAULTS
from embedding_answers import AskedVectors
from judge_answers import TEMPERS, is_judged, judged, with_draft
from odd_answers import ODD, odd
from simulation_answers import about_people
from tool_answers import FAULTS as TOOL_FAULTS
from tool_answers import as_text, calls_of_tools, result_of_tool

try:
    from uvloop import run as run_loop
except ImportError:
    from asyncio import run as run_loop

NAMED_FAULTS = (
    "insufficient_quota",  # 429 with the code of an empty account
    "reset",  # RST in the middle of a body
    "drip",  # the body in pieces over `drip_s`
    "truncated",  # 200, half of a JSON body
    "html_200",
    "html_502",
    "error_200",  # an error object with status 200
    "no_choices",  # "choices": []
    "length",  # cut off, finish_reason "length"
    "content_filter",  # 200, a refusal instead of content
    "content_filter_400",
    "empty",  # 200, content ""
    "prose",  # a sentence where JSON was asked for
    "fenced",  # JSON in a Markdown fence
    "sloppy",  # JSON with words around it and commas where none belong
    "misfit",  # JSON of another shape than was asked for
    "short",  # arrays, and stories of people, half as long as asked for
    "deaf",  # a text about a person that shows none of the traits
    "unfit",  # random variables that contradict each other
    "few_vectors",  # embeddings: one too few, of a component too few, not numbers, out of order
    "thin_vectors",
    "nan_vectors",
    "mixed_vectors",
    "slow",  # `slow_s` more latency
    "hang",  # no answer for `hang_s`
    "gemini_key",  # what providers say in their own words, see `_IN_OTHER_WORDS`
    "gemini_busy",
    "openrouter_credits",
    "openrouter_moderated",
    "openrouter_busy",
    "openrouter_busy_200",
    "openrouter_choice",
    "azure_busy",
    "anthropic_busy",
    "loading",
    "ollama_404",
    "vllm_400",
    *ODD,  # people who were not asked for, see `odd_answers.py`
    *TOOL_FAULTS,  # of requests that have tools, see `tool_answers.py`
)
"""A fault is one of these names, or an HTTP status from 400 to 599 as a string."""

_UNUSABLE = frozenset(
    {"reset", "truncated", "html_200", "error_200", "no_choices", "openrouter_busy_200", "openrouter_choice"}
)
"""200s that bring the client nothing: not counted as paid."""

_RETRY_AFTER_FORMS = ("seconds", "ms", "date", "reset", "none")
_QUOTE_FORMS = ("whole", "head", "tail", "masked")
_LOG_RECORD = struct.Struct("<dQfIIHHHH")
_FORGET_HASHES_AT = 4_000_000


@dataclass(slots=True)
class Options:
    """What the server does, at the start (`--name`) and at run time (`POST /control`).

    Lists and mappings may be given as text: `a,b` and `a=1,b=2`. Seconds are floats.
    """

    keys: list[str] = field(default_factory=list)  # the bearer keys that are let in; none: any, or none at all
    models: list[str] = field(default_factory=list)  # others get 404; none: any
    latency: float = 0.0
    slots: int = 0  # requests worked on at once, the rest queue; 0: any number
    share: dict[str, float] = field(default_factory=dict)  # fault → share of the requests, by hash and attempt
    sticky: bool = False  # `share` by hash alone: a request that fails once fails always
    script: list[str] = field(default_factory=list)  # "0-9=429", "15=reset", "20-=500": by count since it was set
    cycle: int = 0  # the script begins anew after so many requests; 0: never
    marker: dict[str, str] = field(default_factory=dict)  # text in a message → fault
    dying: dict[str, str] = field(default_factory=dict)  # key → "100:401": that fault from its request 100 on
    storm: dict[str, float] = field(default_factory=dict)  # "429" or "429@key" → for so many seconds from now
    retry_after: float = 1.0  # what a 429 says where nothing better is known
    retry_after_form: str = "seconds"  # seconds | ms | date | reset (x-ratelimit-reset-requests alone) | none
    rpm: int = 0  # requests per key and window
    tpm: int = 0  # tokens, prompt and completion, per key and window
    window_s: float = 60.0
    refuse: list[str] = field(default_factory=list)  # body fields that get 400, or json_schema, json_object
    quote: list[str] = field(default_factory=list)  # refusals quote the key: whole, head, tail, masked, in turn
    usage: bool = True
    reasoning: bool = False  # a reasoning_content beside the content
    alike: float = 0.0  # share of personas that are near-duplicates of one of `ALIKE` others
    judge: str = "fair"  # the temper of a judge of dialogues, see `judge_answers.py`
    slow_s: float = 5.0
    drip_s: float = 2.0
    hang_s: float = 0.0  # 0: for ever
    grace_s: float = 0.25  # a request arriving so soon after its key's 429 is not `early`: it was on its way
    batches: bool = True  # whether there are /v1/files and /v1/batches
    batch_s: float = 0.2  # from the creation of a batch to its end
    batch_accounts: bool = False  # every key has an account of its own
    batch_requests: int = 50_000  # lines of one batch
    batch_enqueued: int = 0  # requests that may wait in batches; 0: any number
    batch_endings: list[str] = field(default_factory=list)  # of the first batches; the others complete
    batch_script: list[str] = field(default_factory=list)  # "create:0=lost", "upload:0-2=503"
    log_cap: int = 2_000_000  # log records kept (36 bytes each); later ones are counted as dropped

    def change(self, given: dict[str, object]) -> None:
        """Raises ValueError, and changes nothing, where a name or a value is unknown."""
        known = {one.name for one in fields(self)}
        if unknown := given.keys() - known:
            raise ValueError(f"unknown option {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
        values = {name: _read_value(name, getattr(self, name), value) for name, value in given.items()}
        for name, value in values.items():
            setattr(self, name, value)


def _read_value(name: str, old: object, value: object) -> object:
    if isinstance(old, list):
        items = [item for item in value.split(",") if item] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError(f"{name} must be a list, got {value!r}")
        if name == "script":
            _read_script(items)
        if name == "quote" and (unknown := set(items) - set(_QUOTE_FORMS)):
            raise ValueError(f"quote knows {', '.join(_QUOTE_FORMS)}, not {', '.join(map(str, unknown))}")
        if name == "batch_endings" and not ENDINGS.issuperset(items):
            raise ValueError(f"batch_endings are {', '.join(sorted(ENDINGS))}, got {value!r}")
        if name == "batch_script":
            for item in items:
                fault = str(item).partition("=")[2]
                if fault not in BATCH_FAULTS:
                    _fault(fault)
        return [str(item) for item in items]
    if isinstance(old, dict):
        pairs = dict(pair.split("=", 1) for pair in value.split(",") if pair) if isinstance(value, str) else value
        if not isinstance(pairs, dict):
            raise ValueError(f"{name} must be a mapping, got {value!r}")
        return _read_pairs(name, pairs)
    if isinstance(old, str):
        known = {"retry_after_form": _RETRY_AFTER_FORMS, "judge": TEMPERS}[name]
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        return value
    if not isinstance(value, (int, float)) or isinstance(old, bool) != isinstance(value, bool):
        raise ValueError(f"{name} must be a {type(old).__name__}, got {value!r}")
    return type(old)(value)


def _read_pairs(name: str, pairs: dict[str, object]) -> dict[str, object]:
    if name == "share":
        return {_fault(key): float(str(value)) for key, value in pairs.items()}
    if name == "storm":
        for key in pairs:
            _fault(key.partition("@")[0])
        return {key: float(str(value)) for key, value in pairs.items()}
    if name == "dying":
        for value in pairs.values():
            start, _, fault = str(value).partition(":")
            _fault(fault or "401"), int(start)
    else:
        for value in pairs.values():
            _fault(str(value))
    return {str(key): str(value) for key, value in pairs.items()}


def _fault(name: str) -> str:
    if name in NAMED_FAULTS or (name.isdigit() and 400 <= int(name) < 600):
        return name
    raise ValueError(f"unknown fault {name!r}; known: a status from 400 to 599, {', '.join(NAMED_FAULTS)}")


def _read_script(lines: list[object]) -> list[tuple[float, float, str]]:
    found = []
    for line in lines:
        where, _, fault = str(line).partition("=")
        first, dash, last = where.partition("-")
        found.append((float(first), float(last or "inf") if dash else float(first), _fault(fault)))
    return found


# ---- what it remembers --------------------------------------------------------------------------------------------


class Ledger:
    """One key's account: how much it was used, in all and in the densest window."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = self.early = self.in_flight = self.peak_in_flight = 0
        self.prompt_tokens = self.completion_tokens = 0
        self.statuses: Counter[int] = Counter()
        self.arrivals: deque[float] = deque()
        self.most_arrivals = 0
        self.admitted: deque[tuple[float, int]] = deque()
        self.admitted_tokens = self.most_admitted = self.most_tokens = 0
        self.cooling_from = self.cooling_until = -math.inf

    def arrive(self, now: float, window_s: float) -> None:
        """A request reached the server at `now`, whatever becomes of it."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.early += self.cooling_from < now < self.cooling_until
        self.arrivals.append(now)
        while self.arrivals[0] <= now - window_s:
            self.arrivals.popleft()
        self.most_arrivals = max(self.most_arrivals, len(self.arrivals))

    def slide(self, now: float, window_s: float) -> None:
        while self.admitted and self.admitted[0][0] <= now - window_s:
            self.admitted_tokens -= self.admitted.popleft()[1]

    def admit(self, now: float, tokens: int) -> None:
        self.admitted.append((now, tokens))
        self.admitted_tokens += tokens
        self.most_admitted = max(self.most_admitted, len(self.admitted))
        self.most_tokens = max(self.most_tokens, self.admitted_tokens)

    def wait_s(self, now: float, tokens: int, options: Options) -> float:
        """Seconds until a request of `tokens` fits into both limits; 0 where it fits now."""
        wait, held = 0.0, self.admitted_tokens
        for position, (at, used) in enumerate(self.admitted):
            over_requests = options.rpm and len(self.admitted) - position >= options.rpm
            over_tokens = options.tpm and held + tokens > options.tpm
            if not (over_requests or over_tokens):
                return wait
            wait, held = at + options.window_s - now, held - used
        return wait if not options.tpm or held + tokens <= options.tpm else options.window_s

    def cool(self, now: float, seconds: float, grace_s: float) -> None:
        """The key was told to stay away for `seconds`."""
        if self.cooling_until <= now:
            self.cooling_from = now + grace_s
        self.cooling_until = max(self.cooling_until, now + seconds)

    def as_json(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "early": self.early,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "max_requests_in_window": self.most_arrivals,
            "max_admitted_in_window": self.most_admitted,
            "max_tokens_in_window": self.most_tokens,
        }


class Truth:
    """What was answered, when, to which key. Bounded: a packed log and two counts per request hash."""

    def __init__(self) -> None:
        self.ledgers: dict[str, Ledger] = {}
        self.statuses: Counter[int] = Counter()
        self.faults: Counter[str] = Counter()
        self.log = bytearray()
        self.log_dropped = 0
        self.names: dict[str, int] = {"": 0}
        self.seen: dict[int, int] = {}
        self.bought: dict[int, int] = {}
        self.hashes_forgotten = 0
        self.paid = self.repaid = self.repaid_delivered = self.abandoned = 0
        self.in_flight = self.peak_in_flight = 0
        self.since = time.time()

    def ledger(self, key: str) -> Ledger:
        if key not in self.ledgers:
            self.ledgers[key] = Ledger(self.number(key))
        return self.ledgers[key]

    def number(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names) & 0xFFFF)

    def attempt(self, item: int) -> int:
        """How often this request came before."""
        before = self.seen.get(item, 0)
        if before or len(self.seen) < _FORGET_HASHES_AT:
            self.seen[item] = before + 1
        else:
            self.hashes_forgotten += 1
        return before

    def buy(self, item: int, delivered: bool) -> None:
        """A whole answer was paid for. `bought` holds twice the number of purchases, odd once one was delivered."""
        before = self.bought.get(item, 0)
        self.paid += 1
        self.abandoned += not delivered
        self.repaid += before > 0
        self.repaid_delivered += before & 1
        if before or len(self.bought) < _FORGET_HASHES_AT:
            self.bought[item] = (before + 2) | delivered

    def as_json(self) -> dict[str, object]:
        return {
            "requests": sum(self.statuses.values()),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "faults": dict(self.faults),
            "keys": {key: ledger.as_json() for key, ledger in self.ledgers.items()},
            "distinct": len(self.seen),
            "paid": self.paid,
            "repaid": self.repaid,
            "repaid_delivered": self.repaid_delivered,
            "abandoned": self.abandoned,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "prompt_tokens": sum(one.prompt_tokens for one in self.ledgers.values()),
            "completion_tokens": sum(one.completion_tokens for one in self.ledgers.values()),
            "log_kept": len(self.log) // _LOG_RECORD.size,
            "log_dropped": self.log_dropped,
            "hashes_forgotten": self.hashes_forgotten,
            "seconds": time.time() - self.since,
        }

    def page(self, offset: int, limit: int) -> list[dict[str, object]]:
        """Records `offset` … `offset + limit`, in the order in which they were answered."""
        names = {number: name for name, number in self.names.items()}
        size = _LOG_RECORD.size
        rows = _LOG_RECORD.iter_unpack(self.log[offset * size : (offset + limit) * size])
        return [
            {
                "time": at,
                "key": names[key],
                "item": f"{item:016x}",
                "status": status,
                "model": names[model],
                "latency": round(latency, 6),
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "fault": names[fault],
            }
            for at, item, latency, prompt, completion, key, model, status, fault in rows
        ]


@dataclass(slots=True)
class Call:
    """One request on its way through the server, read by `reads`. `item` is the hash of its body; of a chat, whatever
    the order of fields."""

    arrived: float
    key: str
    ledger: Ledger
    reads: type
    item: int = 0
    model: str = ""
    status: int = 200
    fault: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


# ---- how it answers over HTTP -------------------------------------------------------------------------------------


class ModelServer:
    """The aiohttp handler. One event loop, no locks."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.truth = Truth()
        self.wall = time.time() - time.monotonic()
        self.script: list[tuple[float, float, str]] = _read_script(list(options.script))
        self.script_at = 0
        self.storm_until = {name: time.monotonic() + seconds for name, seconds in options.storm.items()}
        self.working = 0
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.batches = BatchProvider(options, self._answer_in_batch)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path == "/v1/chat/completions":
            if request.method != "POST":
                return _error(405, "use POST")
            return await self._chat(request)
        if path == "/v1/embeddings" and request.method == "POST":
            return await self._chat(request, AskedVectors)
        if path == "/v1/models" or path.startswith("/v1/models/"):
            return self._models(request, path.removeprefix("/v1/models").removeprefix("/"))
        if path.startswith(("/v1/files", "/v1/batches")):
            return await self.batches.handle(request)
        if path.startswith("/control"):
            return await self._control(request, path)
        return _error(404, f"no such path: {path}")

    async def _chat(self, request: web.BaseRequest, reads: type | None = None) -> web.StreamResponse:
        raw = await request.read()
        truth, now = self.truth, time.monotonic()
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        call = Call(now, key, truth.ledger(key), reads or Asked)
        call.ledger.arrive(now, self.options.window_s)
        truth.in_flight += 1
        truth.peak_in_flight = max(truth.peak_in_flight, truth.in_flight)
        try:
            return await self._answer(request, raw, call)
        finally:
            truth.in_flight -= 1
            call.ledger.in_flight -= 1
            if truth is self.truth:
                self._record(call, delivered=_is_there(request))

    def _record(self, call: Call, delivered: bool) -> None:
        truth, ledger = self.truth, call.ledger
        paid = call.status == 200 and call.fault not in _UNUSABLE
        fault = call.fault if delivered or not paid else "abandoned"
        truth.statuses[call.status] += 1
        ledger.statuses[call.status] += 1
        if fault:
            truth.faults[fault] += 1
        if paid:
            truth.buy(call.item, delivered)
            ledger.prompt_tokens += call.prompt_tokens
            ledger.completion_tokens += call.completion_tokens
        if len(truth.log) >= self.options.log_cap * _LOG_RECORD.size:
            truth.log_dropped += 1
            return
        truth.log += _LOG_RECORD.pack(
            call.arrived + self.wall,
            call.item,
            time.monotonic() - call.arrived,
            call.prompt_tokens,
            call.completion_tokens,
            ledger.number,
            truth.number(call.model),
            call.status,
            truth.number(fault),
        )

    def _answer_in_batch(self, key: str, raw: bytes) -> tuple[int, bytes]:
        """Status and body of one request of a batch; it is counted like every other."""
        call = Call(time.monotonic(), key, self.truth.ledger(key), Asked)
        made = self._made(raw, call)
        if isinstance(made, bytes) and (call.fault.isdigit() or call.fault in _UNUSABLE):
            made = self._refuse(call, call.fault if call.fault.isdigit() else "500")
        self._record(call, delivered=True)
        return (200, made) if isinstance(made, bytes) else (made.status, made.body)

    async def _answer(self, request: web.BaseRequest, raw: bytes, call: Call) -> web.StreamResponse:
        made = self._made(raw, call)
        if not isinstance(made, bytes):
            return made
        if refusal := self._limit(call):
            return refusal
        await self._work(call, request)
        return await self._send(request, call, made)

    def _made(self, raw: bytes, call: Call) -> bytes | web.Response:
        """The body of the answer, before limits and time, or a refusal."""
        options = self.options
        if options.keys and call.key not in options.keys:
            return self._refuse(call, "401")
        if fault := self._death(call):
            return self._refuse(call, fault)
        try:
            asked = call.reads(raw)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            call.item = _short_hash(raw)
            return self._refuse(call, "400", f"no chat request: {error!r}")
        call.item, call.model = asked.item, asked.model
        call.prompt_tokens = asked.prompt_tokens
        if options.models and asked.model not in options.models:
            return self._refuse(call, "404", f"The model `{asked.model}` does not exist.")
        if param := asked.uses(options.refuse):
            return self._refuse(call, "400", f"'{param}' is not supported with this model.", param)
        if asked.form == "json_object" and not asked.mentions_json():
            return self._refuse(call, "400", "'messages' must contain the word 'json' to use json_object.", "messages")
        fault = self._choose_fault(call, asked)
        if fault and fault.isdigit() and int(fault) < 500:
            return self._refuse(call, fault)
        if fault in ("insufficient_quota", "content_filter_400"):
            return self._refuse(call, fault)
        if fault in _IN_OTHER_WORDS:
            return self._say(call, fault)
        try:
            body = asked.answer(fault, options)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            return self._refuse(call, "400", f"Invalid schema for response_format: {error!r}", "response_format")
        call.completion_tokens, call.fault = asked.completion_tokens, fault
        return body

    def _death(self, call: Call) -> str:
        said = self.options.dying.get(call.key)
        if said is None:
            return ""
        start, _, fault = said.partition(":")
        return (fault or "401") if call.ledger.requests > int(start) else ""

    def _choose_fault(self, call: Call, asked: Asked) -> str:
        attempt, count = self.truth.attempt(call.item), self.script_at
        self.script_at += 1
        for text, fault in self.options.marker.items():
            if asked.mentions(text):
                return fault
        for name, until in self.storm_until.items():
            fault, _, key = name.partition("@")
            if call.arrived < until and key in ("", call.key):
                return fault
        count = count % self.options.cycle if self.options.cycle else count
        for first, last, fault in self.script:
            if first <= count <= last:
                return fault
        return self._by_share(call.item, 0 if self.options.sticky else attempt) if self.options.share else ""

    def _by_share(self, item: int, attempt: int) -> str:
        point = _short_hash(f"{item}/{attempt}".encode()) / 2**64
        for fault, share in self.options.share.items():
            point -= share
            if point < 0:
                return fault
        return ""

    def _limit(self, call: Call) -> web.StreamResponse | None:
        tokens, now = call.prompt_tokens + call.completion_tokens, call.arrived
        call.ledger.slide(now, self.options.window_s)
        if wait := call.ledger.wait_s(now, tokens, self.options):
            call.fault = "limit"
            return self._refuse(call, "429", "Rate limit reached for this key.", wait_s=wait)
        call.ledger.admit(now, tokens)
        return None

    async def _work(self, call: Call, request: web.BaseRequest) -> None:
        """Take the time that an answer takes."""
        options = self.options
        if call.fault == "hang":
            until = call.arrived + (options.hang_s or math.inf)
            while time.monotonic() < until and _is_there(request):
                await asyncio.sleep(0.05)
        seconds = options.latency + (options.slow_s if call.fault == "slow" else 0.0)
        if not options.slots:
            if seconds:
                await asyncio.sleep(seconds)
            return
        if self.working >= options.slots:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        else:
            self.working += 1
        await asyncio.sleep(seconds)
        if self.waiting:
            self.waiting.popleft().set_result(None)
        else:
            self.working -= 1

    async def _send(self, request: web.BaseRequest, call: Call, body: bytes) -> web.StreamResponse:
        fault = call.fault
        if fault.isdigit():
            return self._refuse(call, fault)
        if fault == "hang" and not _is_there(request):
            call.status, call.completion_tokens = 499, 0
            return web.Response(status=499)
        if fault == "reset":
            return await _reset(request, body)
        if fault == "drip":
            return await _drip(request, body, self.options.drip_s)
        if fault == "truncated":
            body = body[: len(body) // 2]
        elif fault.startswith("html"):
            call.status = int(fault.removeprefix("html_"))
            return web.Response(status=call.status, body=_HTML, content_type="text/html")
        elif fault == "error_200":
            body = _error_body("Provider returned error" + self._quotation(call), "server_error", None, None)
        return web.Response(body=body, content_type="application/json", headers=self._limit_headers(call))

    def _refuse(
        self, call: Call, fault: str, message: str = "", param: str | None = None, wait_s: float | None = None
    ) -> web.Response:
        status, kind, code, said = _REFUSALS.get(fault) or (int(fault), "invalid_request_error", None, "Bad request.")
        if fault.isdigit() and int(fault) >= 500:
            kind, said = "server_error", said if fault in _REFUSALS else "The server had an error."
        call.status, call.fault, call.completion_tokens = status, call.fault or fault, 0
        headers = self._limit_headers(call) or {}
        if status == 429 and code != "insufficient_quota":
            headers |= self._cool(call, wait_s)
        return _error(status, (message or said) + self._quotation(call), kind, code, param, headers)

    def _quotation(self, call: Call) -> str:
        forms, key = self.options.quote, call.key
        if not forms:
            return ""
        shown = {"whole": key, "head": f"{key[:-4]}...", "tail": f"...{key[4:]}", "masked": f"{key[:8]}****{key[-4:]}"}
        return f" You provided: {shown[forms[call.ledger.requests % len(forms)]]}. See your account."

    def _say(self, call: Call, fault: str) -> web.Response:
        """A provider's own words; `{reset}` in them is 40 s from now, in Unix milliseconds."""
        status, headers, text = _IN_OTHER_WORDS[fault]
        call.status, call.fault, call.completion_tokens = status, fault, 0
        body = text.replace("{reset}", str(int((time.time() + 40) * 1000)))
        return web.Response(status=status, text=body, content_type="application/json", headers=headers)

    def _cool(self, call: Call, wait_s: float | None) -> dict[str, str]:
        now, form = time.monotonic(), self.options.retry_after_form
        if wait_s is None:
            storms = [until for name, until in self.storm_until.items() if name in ("429", f"429@{call.key}")]
            wait_s = max([until - now for until in storms if until > now], default=self.options.retry_after)
        wait_s = math.ceil(wait_s * 1000) / 1000
        if form == "none":
            return {}
        call.ledger.cool(now, wait_s, self.options.grace_s)
        if form == "ms":
            return {"Retry-After-Ms": f"{wait_s * 1000:g}"}
        if form == "date":
            return {"Retry-After": formatdate(math.ceil(now + self.wall + wait_s), usegmt=True)}
        if form == "reset":
            return {"x-ratelimit-reset-requests": f"{wait_s:g}s"}
        return {"Retry-After": f"{wait_s:g}"}

    def _limit_headers(self, call: Call) -> dict[str, str] | None:
        options, ledger, now = self.options, call.ledger, time.monotonic()
        if not (options.rpm or options.tpm):
            return None
        ledger.slide(now, options.window_s)
        reset = f"{max(0.0, ledger.admitted[-1][0] + options.window_s - now) if ledger.admitted else 0:.3f}s"
        headers: dict[str, str] = {}
        for unit, limit, used in (
            ("requests", options.rpm, len(ledger.admitted)),
            ("tokens", options.tpm, ledger.admitted_tokens),
        ):
            if limit:
                headers[f"x-ratelimit-limit-{unit}"] = str(limit)
                headers[f"x-ratelimit-remaining-{unit}"] = str(max(0, limit - used))
                headers[f"x-ratelimit-reset-{unit}"] = reset
        return headers

    def _models(self, request: web.BaseRequest, asked: str) -> web.Response:
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.options.keys and key not in self.options.keys:
            return _error(401, "Incorrect API key provided.", "invalid_request_error", "invalid_api_key")
        names = self.options.models or [asked or "test-model"]
        if asked and asked not in names:
            return _error(404, f"The model `{asked}` does not exist.", code="model_not_found")
        rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "tests"} for name in names]
        return web.json_response(rows[names.index(asked)] if asked else {"object": "list", "data": rows})

    async def _control(self, request: web.BaseRequest, path: str) -> web.Response:
        if path == "/control/stats":
            return web.json_response(self.truth.as_json() | {"batches": self.batches.as_json()})
        if path == "/control/log":
            page = self.truth.page(int(request.query.get("offset", 0)), int(request.query.get("limit", 10_000)))
            lines = "".join(json.dumps(row) + "\n" for row in page)
            return web.Response(text=lines, content_type="application/x-ndjson")
        if path == "/control/reset":
            self.truth, self.script_at = Truth(), 0
            self.batches.reset()
            return web.json_response({})
        if path != "/control":
            return _error(404, f"no such path: {path}")
        if request.method == "POST":
            try:
                self._change(json.loads(await request.read()))
            except (ValueError, AttributeError) as error:
                return _error(400, str(error))
        return web.json_response(asdict(self.options))

    def _change(self, given: dict[str, object]) -> None:
        self.options.change(given)
        if "script" in given or "cycle" in given:
            self.script, self.script_at = _read_script(list(self.options.script)), 0
        if "batch_script" in given:
            self.batches.forget_script()
        if "storm" in given:
            now = time.monotonic()
            self.storm_until = {name: now + seconds for name, seconds in self.options.storm.items()}


_HTML = b"<html>\r\n<head><title>Bad Gateway</title></head>\r\n<body><h1>Bad Gateway</h1></body>\r\n</html>\r\n"
_REFUSALS: dict[str, tuple[int, str, str | None, str]] = {
    "401": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "403": (403, "invalid_request_error", "access_denied", "You are not allowed to use this model."),
    "404": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "429": (429, "requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    "insufficient_quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "content_filter_400": (400, "invalid_request_error", "content_filter", "The prompt triggered content management."),
    "503": (503, "server_error", None, "The engine is currently overloaded, please try again later."),
}


_GOOGLE = "type.googleapis.com/google.rpc"
_IN_OTHER_WORDS: dict[str, tuple[int, dict[str, str], str]] = {
    "gemini_key": (
        400,
        {},
        '[{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status":'
        f' "INVALID_ARGUMENT", "details": [{{"@type": "{_GOOGLE}.ErrorInfo", "reason": "API_KEY_INVALID", "domain":'
        ' "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}]}}]',
    ),
    "gemini_busy": (
        429,
        {},
        '[{"error": {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED",'
        f' "details": [{{"@type": "{_GOOGLE}.QuotaFailure", "violations": [{{"quotaId": "PerMinute"}}]}},'
        f' {{"@type": "{_GOOGLE}.RetryInfo", "retryDelay": "34.5s"}}]}}}}]',
    ),
    "openrouter_credits": (
        402,
        {},
        '{"error": {"message": "This request requires more credits.", "code": 402, "metadata": {"provider_name": null}}'
        ', "user_id": "user_1"}',
    ),
    "openrouter_moderated": (
        403,
        {},
        '{"error": {"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["violence"],'
        ' "flagged_input": "…", "provider_name": "OpenAI", "model_slug": "m"}}}',
    ),
    "openrouter_busy": (
        429,
        {},
        '{"error": {"message": "Rate limit exceeded: free-models-per-min. ", "code": 429, "metadata": {"headers":'
        ' {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "{reset}"},'
        ' "provider_name": null}}, "user_id": "user_1"}',
    ),
    "openrouter_busy_200": (200, {}, '{"error": {"message": "Provider returned error", "code": 429}}'),
    "openrouter_choice": (
        200,
        {},
        '{"id": "gen-1", "choices": [{"error": {"code": 502, "message": "Provider went away"}, "finish_reason":'
        ' "error", "message": {"role": "assistant", "content": ""}}]}',
    ),
    "azure_busy": (
        429,
        {"retry-after-ms": "2500", "retry-after": "3"},
        '{"error": {"code": "429", "message": "Requests have exceeded the token rate limit of your tier."}}',
    ),
    "anthropic_busy": (529, {}, '{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'),
    "loading": (503, {}, '{"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}'),
    "ollama_404": (
        404,
        {},
        '{"error": {"message": "model \'m\' not found", "type": "api_error", "param": null, "code": null}}',
    ),
    "vllm_400": (
        400,
        {},
        '{"object": "error", "message": "This model\'s maximum context length is 4096 tokens.", "type":'
        ' "BadRequestError", "param": null, "code": 400}',
    ),
}


def _error_body(message: str, kind: str, code: str | None, param: str | None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def _error(
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    body = _error_body(message, kind, code, param)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _is_there(request: web.BaseRequest) -> bool:
    transport = request.transport
    return transport is not None and not transport.is_closing()


async def _reset(request: web.BaseRequest, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type, response.content_length = "application/json", len(body)
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        await asyncio.sleep(0.005)  # let the half go out: RST overtakes what is not sent
    if (transport := request.transport) is not None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return response


async def _drip(request: web.BaseRequest, body: bytes, seconds: float, pieces: int = 20) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type, response.content_length = "application/json", len(body)
    step = -(-len(body) // pieces)
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            await asyncio.sleep(seconds / pieces)
            if not _is_there(request):
                break
    return response


# ---- what it answers ----------------------------------------------------------------------------------------------

_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode
_PERSONAS_AS_JSON = re.compile(r"""["'`](personas?)["'`]""", re.IGNORECASE)
_COUNT = re.compile(r"exactly (\d+)|(\d+) (?:\w+ ){0,2}(?:people|persons|personas)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{5,}")


class Asked:
    """A chat request as read from its body, and its answer."""

    def __init__(self, raw: bytes) -> None:
        body = json.loads(raw)
        if body.get("stream"):
            raise ValueError("this server does not stream")
        self.body = body
        self.model = str(body["model"])
        self.texts = [(one["role"], _text(one.get("content"))) for one in body["messages"]]
        if not self.texts:
            raise ValueError("messages is empty")
        asked = _SORTED([body["messages"], body.get("seed"), body.get("response_format")]).encode()
        rest = _SORTED([[name, value] for name, value in sorted(body.items()) if name not in _ANSWERED_BY]).encode()
        self.key = blake2b(asked, digest_size=32).digest()
        self.item = _short_hash(self.key + rest)
        self.prompt_tokens = sum(len(text) for _, text in self.texts) // 4 + 4 * len(self.texts)
        self.completion_tokens = 0

    def mentions(self, marker: str) -> bool:
        return any(marker in text for _, text in self.texts)

    @property
    def form(self) -> str:
        return str((self.body.get("response_format") or {}).get("type", "text"))

    def mentions_json(self) -> bool:
        return any("json" in text.lower() for _, text in self.texts)

    def uses(self, refused: list[str]) -> str | None:
        """The first of the `refused` fields, or response formats, that this request has."""
        if not refused:
            return None
        if self.form in refused:
            return "response_format"
        return next((name for name in refused if self.body.get(name) is not None), None)

    def answer(self, fault: str, options: Options) -> bytes:
        """The body of a 200; sets `completion_tokens`."""
        limit = self.body.get("max_completion_tokens") or self.body.get("max_tokens")
        choices = [self._choice(number, fault, limit, options) for number in range(int(self.body.get("n") or 1))]
        used = sum(-(-len(choice["message"]["content"] or "") // 4) for choice in choices)
        used += sum(len(json.dumps(choice["message"].get("tool_calls", []))) // 4 for choice in choices)
        self.completion_tokens = used
        if options.reasoning:
            for choice in choices:
                choice["message"]["reasoning_content"] = "Let me think about who is asking, and what for."
        completion = {
            "id": f"chatcmpl-{self.item:016x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self.model,
            "choices": [] if fault == "no_choices" else choices,
        }
        if options.usage:
            completion["usage"] = {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": used,
                "total_tokens": self.prompt_tokens + used,
            }
        return json.dumps(completion, separators=(",", ":")).encode()

    def _choice(self, number: int, fault: str, limit: int | None, options: Options) -> dict[str, Any]:
        finish = "stop"
        text: str | None
        draw = Draw(self.key + bytes([number]), options.alike)
        calls = calls_of_tools(self.body, lambda schema: Filled(schema, draw).value(schema), draw.below, fault)
        if fault == "content_filter":
            text, finish = None, "content_filter"
        elif calls and fault == "text_call":
            text, calls = as_text(calls), []
        elif calls:
            text, finish = None, "tool_calls"
        elif fault == "empty":
            text = ""
        else:
            text = self._text(draw, fault, options.judge)
            room = len(text) // 2 if fault == "length" else 4 * (limit or len(text))
            if room < len(text):
                text, finish = text[:room], "length"
        refusal = "I'm sorry, I can't assist with that." if fault == "content_filter" else None
        message = {"role": "assistant", "content": text, "refusal": refusal}
        if calls:
            message["tool_calls"] = calls
        return {"index": number, "message": message, "logprobs": None, "finish_reason": finish}

    def _text(self, draw: Draw, fault: str, temper: str) -> str:
        if fault == "prose":
            return self._chat(draw)
        texts, schema = [text for _, text in self.texts], self._schema()
        if schema and is_judged(set(schema.get("properties", {}))):
            value: object = judged(texts, temper, draw.one)
        elif (told := self._about_people(draw, fault)) is not None:
            value = told
        elif self.form != "json_schema" and (result := self._result(draw)) is not None:
            value = result
        elif schema:
            value = Filled(schema, draw, short=fault == "short").value(schema)
        elif (by_word := self._personas_by_word(draw, short=fault == "short")) is not None:
            value = by_word
        elif self.form == "json_object":
            value = {"answer": self._chat(draw)}
        else:
            return with_draft(self._chat(draw), texts)
        if fault in ODD and (other := odd(fault, value, texts, lambda: persona(draw))) is not None:
            return other
        if fault == "misfit":
            value = {"answer": value}
        text = json.dumps(value, ensure_ascii=False)
        if fault == "sloppy":
            return f"Sure! {text[:-1]},{text[-1]}\n\nDoes that help?"
        return f"Here you are:\n```json\n{text}\n```" if fault == "fenced" else text

    def _about_people(self, draw: Draw, fault: str) -> object:
        return about_people([text for _, text in self.texts], self._schema(), draw.one, fault)

    def _result(self, draw: Draw) -> object:
        return result_of_tool(self.texts[-1][1], lambda: self._chat(draw), draw.below)

    def _schema(self) -> dict[str, Any] | None:
        """The schema of the response format, or else the one of an object that the last message quotes."""
        if self.form == "json_schema":
            return self.body["response_format"]["json_schema"]["schema"]
        last = self.texts[-1][1]
        for brace in re.finditer(r"\{", last):
            with contextlib.suppress(ValueError):
                found, _ = json.JSONDecoder().raw_decode(last, brace.start())
                if found.get("type") == "object" and "properties" in found:
                    return found
        return None

    def _personas_by_word(self, draw: Draw, short: bool) -> object:
        """Personas where the end of the last or of the first message asks for them as JSON; else None."""
        first, last = self.texts[0][1][-300:], self.texts[-1][1][-1000:]
        place = next((text for text in (last, first) if "JSON" in text and _PERSONAS_AS_JSON.search(text)), None)
        if place is None and not ("JSON" in last and "persona" in last.lower()):
            return None
        asked = {name.lower() for name in _PERSONAS_AS_JSON.findall(place or "")}
        if asked == {"persona"}:
            return {"persona": persona(draw)}
        found = [one or other for one, other in _COUNT.findall(place or last) or _COUNT.findall(self.texts[-1][1])]
        count = int(found[0]) if found else 5
        people = range(count // 2 if short else count)
        if not asked:
            return [persona(draw) for _ in people]
        if "persona" not in asked:
            return {"personas": [persona(draw) for _ in people]}
        return {"personas": [{"relation": draw.one(RELATIONS), "persona": persona(draw)} for _ in people]}

    def _chat(self, draw: Draw) -> str:
        """One to three sentences around some words of the last user message; questions where a person is played."""
        system = self.texts[0][1][:600].lower() if self.texts[0][0] in ("system", "developer") else ""
        last = next((text for role, text in reversed(self.texts) if role == "user"), "")
        words = _WORD.findall(last[:600]) or ["everything"]
        shapes = QUESTIONS if "persona" in system or "you play" in system else ANSWERS
        count = 1 + draw.below(3)
        return " ".join(_sentence(draw, shapes if index == count - 1 else ANSWERS, words) for index in range(count))


_ANSWERED_BY = frozenset({"messages", "seed", "response_format"})


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""


def _sentence(draw: Draw, shapes: list[str], words: list[str]) -> str:
    return draw.one(shapes).format(
        a=draw.one(words).lower(),
        b=draw.one(words).lower(),
        thing=draw.one(THINGS),
        deed=draw.one(WISHES),
        how=draw.one(MANNERS),
    )


def _short_hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


class Draw:
    """Choices derived from `key`: an endless number in a mixed base, 512 bits of hash at a time."""

    __slots__ = ("_block", "_key", "_left", "alike")

    def __init__(self, key: bytes, alike: float = 0.0) -> None:
        self._key, self._block, self._left, self.alike = key, 0, 0, alike

    def below(self, size: int) -> int:
        """Uniform in 0 … size − 1; `size` up to 2³²."""
        if self._left < 1 << 64:
            self._block += 1
            self._left = int.from_bytes(blake2b(self._key, salt=self._block.to_bytes(8, "little")).digest(), "little")
        self._left, chosen = divmod(self._left, size)
        return chosen

    def one(self, items: list[str]) -> str:
        return items[self.below(len(items))]


class Filled:
    """A value that satisfies a JSON schema: what structured outputs and pydantic use of it, not `pattern` or `format`.

    A string is a persona where a name on its way says so. `short` makes arrays half as long as the schema asks for.
    """

    def __init__(self, root: dict[str, Any], draw: Draw, short: bool = False) -> None:
        self._root, self._draw, self._short = root, draw, short

    def value(self, schema: dict[str, Any], name: str = "", depth: int = 0, is_persona: bool = False) -> object:
        if "enum" in schema:
            return schema["enum"][self._draw.below(len(schema["enum"]))]
        if "const" in schema:
            return schema["const"]
        if "$ref" in schema:
            return self.value(self._resolve(schema["$ref"]), name, depth, is_persona)
        for union in ("anyOf", "oneOf", "allOf"):
            if union in schema:
                return self.value(self._choose(schema[union], depth), name, depth, is_persona)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[self._draw.below(len(kind))] if depth < _DEEPEST else ("null" if "null" in kind else kind[0])
        if kind == "string":
            return self._string(schema, name, is_persona)
        if kind == "object":
            return self._object(schema, depth, is_persona)
        if kind == "array":
            return self._array(schema, name, depth, is_persona)
        return self._scalar(kind, schema)

    def _resolve(self, ref: str) -> dict[str, Any]:
        found: Any = self._root
        for part in ref.removeprefix("#").strip("/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")] if part else found
        return found

    def _choose(self, schemas: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        if depth < _DEEPEST:
            return schemas[self._draw.below(len(schemas))]
        return next((one for one in schemas if one.get("type") in _LEAVES), schemas[0])

    def _object(self, schema: dict[str, Any], depth: int, is_persona: bool) -> dict[str, object]:
        properties: dict[str, Any] = schema.get("properties", {})
        if depth > _DEEPEST:
            properties = {name: properties[name] for name in schema.get("required", ()) if name in properties}
        described = _describing(properties) if is_persona else None
        return {name: self.value(one, name, depth + 1, name == described) for name, one in properties.items()}

    def _array(self, schema: dict[str, Any], name: str, depth: int, is_persona: bool) -> list[object]:
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, 5))
        count = least if depth > _DEEPEST else least + self._draw.below(most - least + 1)
        is_persona = is_persona or "persona" in name.lower()
        if "minItems" not in schema and depth <= _DEEPEST:
            count = max(count, min(1, most))
        items = schema.get("items") or {"type": "string"}
        made = [self.value(items, name, depth + 1, is_persona) for _ in range(count // 2 if self._short else count)]
        if schema.get("uniqueItems"):
            made = list({_SORTED(one): one for one in made}.values())
        return made

    def _string(self, schema: dict[str, Any], name: str, is_persona: bool) -> str:
        text = self._words(name.lower(), is_persona)
        while len(text) < schema.get("minLength", 0):
            text += " " + self._words(name.lower(), is_persona)
        return text[: schema["maxLength"]] if "maxLength" in schema else text

    def _words(self, name: str, is_persona: bool) -> str:
        draw = self._draw
        if is_persona or any(word in name for word in ("persona", "description", "backstory", "bio")):
            return persona(draw)
        for word, made in _BY_NAME:
            if word in name:
                return made(draw)
        return _sentence(draw, ANSWERS, [name.replace("_", " ") or "this"])

    def _scalar(self, kind: str, schema: dict[str, Any]) -> object:
        if kind == "boolean":
            return bool(self._draw.below(2))
        if kind == "null":
            return None
        whole = kind == "integer"
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None and "exclusiveMinimum" in schema:
            low = schema["exclusiveMinimum"] + (1 if whole else 1e-6)
        if high is None and "exclusiveMaximum" in schema:
            high = schema["exclusiveMaximum"] - (1 if whole else 1e-6)
        low = low if low is not None else min(0, high - 100 if high is not None else 0)
        high = high if high is not None else low + 100
        if not whole:
            return round(low + (high - low) * self._draw.below(1001) / 1000, 9)
        step = int(schema.get("multipleOf", 1))
        first = -(-math.ceil(low) // step)
        return (first + self._draw.below(math.floor(high) // step - first + 1)) * step


_DEEPEST = 6
_LEAVES = frozenset({"null", "string", "number", "integer", "boolean"})


def _describing(properties: dict[str, Any]) -> str | None:
    """The property of a person that holds the description: by its name, else the first free text."""
    free = [name for name, one in properties.items() if one.get("type") == "string" and "enum" not in one]
    for word in ("persona", "description", "text", "bio"):
        if found := [name for name in free if word in name.lower()]:
            return found[0]
    return next((name for name in free if not any(word in name.lower() for word, _ in _BY_NAME)), None)


def persona(draw: Draw) -> str:
    """One sentence about one person, of 60 to 220 characters."""
    if draw.alike and draw.below(1_000_000) < draw.alike * 1_000_000:
        same = persona(Draw(b"alike%d" % draw.below(ALIKE)))
        return same[:-1] + draw.one(AFTERTHOUGHTS)
    return draw.one(SHAPES).format_map(_Person(draw))


class _Person(dict[str, str]):
    """The places of a sentence's shape, filled as they are asked for; the first word is a capital by its name."""

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self._draw = draw

    def __missing__(self, name: str) -> str:
        return _PLACES[name](self._draw)


def _with_article(text: str) -> str:
    return f"{'an' if text[0].lower() in 'aeio' or text.startswith(('under', 'up')) else 'a'} {text}"


def _named(draw: Draw) -> str:
    """An article, perhaps a quality, and an occupation: "a shy notary"."""
    work = draw.one(OCCUPATIONS)
    return _with_article(f"{draw.one(MANNER_WORDS)} {work}" if draw.below(2) else work)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def main() -> None:
    """Run until killed."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    options, port = _read_arguments(sys.argv[1:])
    run_loop(_serve(options, port))


def _die_with_parent() -> None:
    if sys.platform != "linux":
        return
    parent, prctl_set_pdeathsig = os.getppid(), 1
    ctypes.CDLL(None, use_errno=True).prctl(prctl_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _read_arguments(arguments: list[str]) -> tuple[Options, int]:
    options = Options()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    for one in fields(Options):
        old, flag = getattr(options, one.name), f"--{one.name.replace('_', '-')}"
        if isinstance(old, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=None)
        else:
            parser.add_argument(flag, type=type(old) if isinstance(old, (int, float)) else str, default=None)
    given = vars(parser.parse_args(arguments))
    port = given.pop("port")
    try:
        options.change({name: value for name, value in given.items() if value is not None})
    except ValueError as error:
        parser.error(str(error))
    return options, port


async def _serve(options: Options, port: int) -> None:
    server = web.Server(
        ModelServer(options).handle, access_log=None, keepalive_timeout=600.0, request_factory=_large_request
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=4096)
    await site.start()
    bound = runner.addresses[0][1]
    print(json.dumps({"port": bound, "base_url": f"http://127.0.0.1:{bound}/v1", "pid": os.getpid()}), flush=True)
    await asyncio.Event().wait()


def _large_request(*parts: Any) -> web.BaseRequest:
    return web.BaseRequest(*parts, asyncio.get_running_loop(), client_max_size=64 * 2**20)


# ---- words --------------------------------------------------------------------------------------------------------


def _list(text: str) -> list[str]:
    found = [" ".join(item.split()) for item in text.split("|")]
    return list(dict.fromkeys(item for item in found if item))


OCCUPATIONS = _list("""
accordion repairer | actuary | acupuncturist | air traffic controller | allergist | ambulance driver |
anaesthetist | animal shelter manager | antique clock restorer | apiary inspector | apple grower | arborist |
archivist | asylum lawyer | auctioneer | audiologist | baggage handler | bailiff | ballet teacher | bank teller |
barber | barista | bassoonist | beekeeper | bicycle courier | biology teacher | blacksmith | blood bank technician |
boatbuilder | bookbinder | bookkeeper | bridge inspector | brewer | bricklayer | bus driver | butcher |
call centre agent | camel herder | car mechanic | cardiologist | care home nurse | carpenter | cartographer |
cashier | cattle farmer | cellist | chemistry student | chess coach | childminder | chimney sweep |
choir conductor | circus acrobat | civil servant | cleaner | climate modeller | coal miner | cocoa farmer |
coffee roaster | comic book artist | community organiser | compliance officer | conference interpreter | coroner |
costume designer | court stenographer | crane operator | cricket umpire | crime reporter | customs officer |
dairy farmer | dance therapist | data engineer | debt counsellor | dental hygienist | dermatologist | detective |
dietitian | disc jockey | district judge | dog groomer | dockworker | documentary maker | doula | drone pilot |
dry cleaner | economist | electrician | elevator technician | embroiderer | emergency dispatcher | epidemiologist |
estate agent | event caterer | factory foreman | falconer | farrier | fashion buyer | ferry captain | firefighter |
fisheries biologist | fishmonger | flight attendant | florist | flute maker | food bank volunteer |
forensic accountant | forest ranger | foster parent | fruit picker | funeral director | furniture mover |
game developer | garbage collector | gardener | gas fitter | genealogist | geologist | glassblower | goat herder |
goldsmith | grant writer | grave digger | greengrocer | gym instructor | hairdresser | hardware store owner |
harbour pilot | hat maker | heart surgeon | helicopter mechanic | high school principal | historian of medicine |
horse trainer | hospital chaplain | hotel receptionist | house painter | housing activist | hydrologist |
ice cream vendor | illustrator of children's books | immigration clerk | insurance adjuster | irrigation engineer |
jazz drummer | jewellery appraiser | joiner | journalism student | kindergarten teacher | kite maker |
lab technician | landlord | landscape architect | laundry owner | law student | letter carrier | librarian |
lifeguard | lighthouse keeper | linguist | locksmith | logistics planner | long-haul trucker | lumberjack |
machine learning researcher | maid | market researcher | marriage counsellor | mathematics tutor | meat inspector |
medical coder | merchant sailor | meteorologist | midwife | milliner | mime | monk | mortgage broker |
mosque caretaker | motorcycle taxi driver | mountain guide | museum guard | mushroom forager | music critic |
nail technician | nanny | naval officer | neurologist | night porter | notary | novelist | nuclear plant operator |
nutritionist | oceanographer | olive farmer | opera singer | optician | orchestra librarian | ornithologist |
osteopath | oyster farmer | paediatric nurse | paralegal | park warden | parking attendant | parole officer |
pastry chef | patent examiner | pawnbroker | pediatrician | perfumer | pest controller | petrol station attendant |
pharmacist | philosophy lecturer | physiotherapist | piano tuner | pig farmer | plasterer | plumber | podcast host |
poet | police sergeant | pollster | postdoctoral physicist | potter | prison guard | prop maker | prosthetist |
psychiatrist | public defender | puppeteer | quality inspector | quarry worker | rabbi | radio astronomer |
radiographer | rail signaller | real estate developer | refugee caseworker | restaurant critic | rice farmer |
roofer | rugby coach | salmon farmer | sanitation engineer | sausage maker | school bus driver | school caretaker |
screenwriter | sculptor | seamstress | security guard | seismologist | sheep shearer | shoe repairer |
sign language interpreter | ski instructor | social worker | software tester | soil scientist | sommelier |
sound engineer | speech therapist | sports physician | stained-glass maker | stamp dealer | statistician |
steelworker | stockbroker | street musician | street food cook | structural engineer | stunt performer | surveyor |
sushi chef | swimming teacher | tailor | tannery worker | tattoo artist | tax inspector | taxi driver |
taxidermist | tea picker | telescope maker | theatre prompter | tile setter | toll collector | tour guide |
town mayor | toy inventor | traffic warden | translator | trawler deckhand | trial judge | tugboat engineer |
typographer | umbrella repairer | union organiser | upholsterer | urban planner | used car dealer |
vaccine researcher | veterinarian | video editor | vineyard owner | violin maker | waiter | warehouse picker |
watchmaker | water treatment operator | weaver | web designer | wedding photographer | weightlifter | welder |
whale watcher | wheelchair athlete | wind turbine technician | window cleaner | wood carver | yoga teacher |
youth pastor | zookeeper
""")

MANNER_WORDS = _list("""
retired | newly qualified | part-time | self-taught | third-generation | widowed | cheerful | impatient |
soft-spoken | stubborn | meticulous | absent-minded | sceptical | devout | outspoken | shy | restless | frugal |
overworked | nearsighted | semi-retired | freelance | unemployed | seasonal | apprentice | trilingual | deaf |
left-handed | colour-blind | wry | recently divorced | homesick | superstitious | thrifty | ambitious |
disillusioned | gentle | gruff | talkative | bookish | diabetic | night-shift | undocumented | award-winning |
veteran | reluctant | idealistic | burnt-out | methodical | vain | sleepless | formerly homeless | patient |
punctual | sarcastic | curious | proud | lonely | well-travelled | nostalgic
""")

PLACES = _list("""
in Lagos | in rural Bavaria | on the Faroe Islands | in Osaka | in a suburb of Cleveland | in Tromsø | in Medellín |
in the Scottish Highlands | in Nairobi | in Ulaanbaatar | on the coast of Maine | in Palermo | in Tbilisi |
in Mumbai | in the Atacama desert | in Winnipeg | in Marrakesh | in Gdańsk | in Hanoi | in the Ozarks |
in Reykjavík | in Addis Ababa | in a Cornish fishing village | in São Paulo | in Adelaide | in Tallinn |
in Kathmandu | in Detroit | on Crete | in Jakarta | in the Yukon | in Lyon | in Accra | in Bogotá | in Novosibirsk |
in the Punjab | in Belfast | in Manila | in Phoenix | in Zanzibar | in the Swiss Alps | in Baku | in Montevideo |
in Kyoto | in Tulsa | in Dakar | in Sarajevo | in Chengdu | in the Mississippi delta | in Auckland | in Lisbon |
in Amman | in Quito | in Leipzig | in Honolulu | in Karachi | in Galway | in Windhoek | in Hokkaido | in Naples |
in the Black Forest | in Havana | in Perth | in Cracow | in Colombo | in Salt Lake City | in Antwerp | in Kigali |
in Busan | in Patagonia | in Marseille | in Tehran | in Halifax | in Kampala | in Bristol | in the Sahel |
in Vilnius | in Guadalajara | in the Mekong delta | in Baltimore | in Turku | in Algiers | in Christchurch |
in Lima | in Split | in Appalachia | in Chennai | in Bergen | in Beirut | in the Outback | in Seville | in Almaty |
in New Orleans | in Dublin | on Sicily's south coast | in Lahore | in Rotterdam | in Maputo | in Taipei |
in Anchorage | in La Paz | in Graz | in Casablanca | in a Navajo community in Arizona | in Bratislava |
in Hyderabad | in the Hebrides | in Santiago | in Stuttgart | in Yerevan | in Portland | in Luanda |
in Kuala Lumpur | in the Jura | in Asunción | in Gothenburg | in Memphis | in Ankara | in Dhaka | in Plymouth |
in Port Louis | in Sapporo | in Chișinău | in the Ruhr valley | in Port Moresby | in Tucson | in Bilbao |
in Samarkand | in Liverpool | in Suva | in Harare | in the Transkei | in Poznań | in Thunder Bay | in Oaxaca |
in Ljubljana | in Gaza | in Milwaukee | in Vientiane | in Nuuk | in Odesa | in Cardiff | in Jaipur | in Fresno |
in Brno | in the Camargue | in Bamako | in Cusco | in Hobart | in Bucharest | in Wuhan | in El Paso | on Gotland |
in Abidjan | in Nagasaki | in Aberdeen | in the Po valley | in Riga | in Tijuana | in Bangkok | in Ghent |
in Omaha | in Alexandria | in Zagreb | in Recife | on Vancouver Island | in Lublin | in Shiraz | in Murmansk |
in Brisbane | in Valparaíso | in Kumasi | in Toulouse | in a mill town in Lancashire | in Ho Chi Minh City |
in Boise | in Thessaloniki | in Davao | in the Appenzell | in Skopje
""")

DOES = _list("""
keeps pigeons on the roof | raises three children alone | plays the tuba in a brass band |
sends half the wages home | reads only science fiction | swims in the sea every morning |
cannot drive and never learned | collects old maps | cares for a mother with dementia |
coaches a girls' football team | bakes sourdough for the whole street |
votes in every election and trusts no party | shares a flat with four students | is learning Portuguese from songs |
never finished school | sleeps badly since the flood | restores motorcycles in a shed | sings in a gospel choir |
writes letters to newspapers | has never owned a smartphone | lost a leg in an accident |
hosts a weekly poker night | is expecting twins | walks with a guide dog | lives on a houseboat |
prays five times a day | runs ultramarathons | grows chillies on the balcony | stammers when nervous |
is paying off gambling debts | translates for the neighbours | watches birds with a home-made telescope |
volunteers at a hospice | eats no meat and says so | is in remission from leukaemia | knits during meetings |
has two jobs and no car | keeps a diary in shorthand | argues about football with strangers |
is being evicted in spring | studies law at night | rebuilt the house after an earthquake | owns eleven cats |
is married to a soldier abroad | tinkers with ham radio | teaches grandchildren to fish |
speaks a language with few speakers | does crosswords in ink | distrusts doctors |
is deep in a lawsuit with a brother | cooks from a grandmother's notebook | sits on the parish council |
is raising a child with autism | moderates a forum about mushrooms | hunts deer each autumn | fasts on Fridays |
counts every calorie | plays online chess until dawn | left a strict religious community | is saving every receipt |
has a pilot's licence | fears open water | makes dolls' houses | works beside an ex-husband |
commutes three hours a day | has been sober for nine years | trades cryptocurrency at lunch |
quotes Persian poetry | adopted a teenager last year | is allergic to almost everything |
built a synthesiser from scrap | goes to every town meeting | keeps the books of a mosque |
dances tango on Thursdays | photographs abandoned factories | is hard of hearing |
repairs neighbours' radios for nothing | drinks too much coffee and sleeps four hours |
is studying for a citizenship test | supports an orphanage | dreams in two languages |
has been on strike for a month | wears only second-hand clothes | has a blog about bus timetables |
is waiting for a kidney | owes money to a cousin | raises rabbits for show | learned to read at forty |
sells jam at the weekly market | edits a fanzine | has twelve siblings | mends nets in winter |
keeps a shop that nobody enters | climbs frozen waterfalls | tutors refugees in algebra |
is colourful in dress and careful in speech | follows every trial at the courthouse | believes in ghosts |
records dying dialects | has survived two shipwrecks | is the first in the family at university |
checks the weather every hour | hates email | plays bass in a punk trio | rents out a room to tourists |
rides a horse to work | is caring for a stroke patient at home | hoards newspapers | practises calligraphy |
was deported once | runs the village's only library | brews cider in the cellar | meditates at dawn |
is on probation | campaigns against a dam | plays in a wheelchair rugby league |
weaves baskets while listening to podcasts | studies the Talmud | has a stall of phone cases |
keeps a vegetable plot by the railway | invents board games | pays for everything in cash |
takes part in medical trials for money | never misses a funeral | follows a strict budget
""")

WISHES = _list("""
open a second-hand bookshop | see the northern lights | buy back the family farm | get a work permit |
learn to swim | publish a cookbook | send a daughter to medical school | retire to the mountains |
start a cooperative | find a lost brother | pass the driving test | pay off the mortgage | record an album |
win the regional championship | build a wooden boat | move closer to the sea | understand the new pension rules |
get the river cleaned up | set up a free clinic | quit smoking before a wedding | restore a ruined chapel |
write a crime novel | adopt a second child | teach at a university | walk the Camino | save the local cinema |
switch to renewable heating | earn a pilot's licence | speak without an accent | get a fair trial |
invent a cheaper water filter | plant a thousand trees | visit a grave in Argentina | master the cello |
bring back the night bus | run for the town council | prove an old theory wrong | hire a first employee |
lower the blood pressure without pills | sell honey abroad | design a video game | make peace with a father |
learn to code | photograph a snow leopard | start over in another country | keep the village school open |
get a diagnosis at last | finish a doctorate begun twenty years ago | grow giant pumpkins | stop the motorway |
be taken seriously by the board | perform at a festival | train guide dogs | find an honest accountant |
live without plastic | sail around Iceland | reunite the old band | hand the shop to a niece | become a citizen |
set a record in freediving | understand teenagers | buy a prosthetic hand | breed a disease-resistant tomato |
read the whole of Proust | bring a sister over from Syria | install solar panels | cook for a president |
learn sign language | own a house with a garden | leave the night shift | open a bakery without gluten |
win back an ex-wife | file a patent | digitise the parish records | climb Kilimanjaro | raise the minimum wage |
get a grandson off drugs | translate a saga | start a podcast about bridges | keep bees in the city |
stage a musical | recover a stolen violin | survive until the harvest | coach at the Olympics |
rebuild a classic car | be left in peace | meet a favourite author | cut the hospital's waiting list |
grow old with dignity | found a choir | live off the grid | take a first holiday in ten years |
fight a parking fine | learn to say no | uncover a corruption scandal | switch careers at fifty |
make the perfect espresso | rescue racing greyhounds | map every well in the district |
get custody of the children | write to a prisoner | teach robots to fold laundry | end a family feud |
study astronomy | buy a tractor | perfect a card trick | bring theatre to prisons | find the right school |
join the coastguard | learn what really happened in the war | make a documentary about eels | earn enough to marry |
stop being afraid of flying | swim across the strait | leave something to the grandchildren |
get through the winter | open a repair café
""")

WORRIES = _list("""
the well is running dry | the rent goes up again | a machine will take over the work | the cough is not harmless |
the harvest fails a third time | the eldest son is in bad company | the pension will not last |
nobody will take over the business | the visa expires in June | the dialect dies out |
the landlord sells the house | the children forget where they come from | the eyes get worse | the union gives in |
the bees do not come back | the sea takes the house | the exam cannot be passed | the debts come to light |
the factory moves abroad | the new boss hates women | the dog outlives its owner | the archive gets thrown away |
the glacier is going | the marriage is over | the parish closes | the vaccine was rushed | the town has no future |
the twins come too early | the phone knows too much | the antibiotics stop working |
the trains never run on time again | the cooperative is badly led | a rival copies the recipe |
the war comes closer | the insulin gets dearer | the hands start to shake | the school only teaches for tests |
the data are wrong | the police will not listen | the savings melt away | the forest burns again |
the audience stays at home | a mistake at work is found out | the operation leaves scars |
the daughter marries the wrong man | the bridge is unsafe | the old friends are all dying |
the customers want everything for nothing | the baby does not sleep | the fish are gone
""")

PASTS = _list("""
spent ten years at sea | grew up in an orphanage | fled a civil war | once played in a national team |
studied theology | served in the army | ran a nightclub | was a child actor | farmed ostriches |
lost everything in a fire | drove a tank | sold encyclopaedias door to door | worked on oil rigs | was a nun |
won a lottery and spent it | taught in a desert school | danced in a revue | survived polio |
cleaned offices at night | built dams in Ghana | was raised by grandparents | dropped out of a physics degree |
went to prison for a protest | crossed the Sahara on foot | cooked on a submarine | nursed in a refugee camp |
inherited a haunted house | wrote speeches for a minister | mined tin | modelled for catalogues |
broke horses in Wyoming | smuggled books across a border | lived in a monastery | bankrupted a start-up |
was struck by lightning | sorted mail in Antarctica | raised silkworms | boxed as a lightweight |
taught Latin for decades | repaired looms | dug for amber | escaped from an arranged marriage |
picked grapes across Europe | lived in a car for a year
""")

MANNERS = _list("""
step by step | without spending much | over a few weeks | with the help of a friend | on paper first |
as a small trial | before the end of the month | with some patience | in the evenings | from memory |
by asking around | in plain words | one part at a time | with an eye on the costs | in writing |
together with a neighbour | early in the morning | after a second opinion | without any special tools |
by the book | carefully and in daylight | with a simple list | in two or three sittings | under supervision |
as cheaply as possible | with a spare copy at hand
""")

THINGS = _list("""
a short checklist | the weekly budget | a second opinion | the instruction manual | a spreadsheet |
the oldest source | a cup of strong tea | the local library | a pilot project | the weather forecast |
a reliable map | the tenancy contract | a sharp pencil | the annual report | a trusted colleague |
the town archive | a rough sketch | the doctor's letter | a sample from the field | the opposite argument |
a decent night's sleep | the training plan | the original receipt | a longer deadline | the safety margin |
a glossary of terms | the neighbours' experience | a backup of everything | the first paragraph | a quiet room |
the price list | a simple experiment | the complaint form | a table of dates | the smallest case |
a good dictionary | the public hearing | an honest estimate | the tool at hand | a fresh start | the family recipe |
a steady routine | the minutes of the meeting | a phone call | the warranty | an hour of practice
""")

ANSWERS = _list("""
With {a} it is best to begin with {thing} and to go on {how}. |
Most people underrate how much {a} depends on {b}; {thing} helps more than it seems. |
Think of {a} as a matter of {thing}, and settle {b} {how}. |
There are two sides to {a}: the part about {b}, and what {thing} tells you. |
I would leave {b} for later and look at {a} {how}. |
What usually works for {a} is {thing}, provided that {b} has been cleared up {how}. |
If the aim is to {deed}, then {a} matters less than {thing}. |
Someone who wants to {deed} should treat {a} {how}. |
Start small: {thing}, then {a}, then {b}. |
The honest answer about {a} is that {thing} decides it, not {b}. |
Compare {a} with {thing} {how}, and the rest follows. |
It took me a while to see that {a} and {b} go together, as in {thing}. |
You can handle {b} {how}; for {a}, keep {thing} close. |
Nothing about {a} is urgent, so take {thing} and work {how}. |
As for {b}, {thing} is worth more than any rule about {a}. |
Many try to {deed} and forget {a} entirely. |
The usual mistake is to skip {thing} and to argue about {a} instead. |
Put {a} first, deal with {b} {how}, and check the result against {thing}.
""")

QUESTIONS = _list("""
How do I deal with {a} when all I have is {thing}? |
What would you do about {a} if you wanted to {deed}? |
Is {a} worth the trouble, or should I rather ask about {b}? |
Can {a} be done {how}, or do I need {thing}? |
Why does everybody talk about {b} when {thing} seems to matter more? |
I am trying to {deed}; where does {a} come in? |
Could you explain {a} {how}, with {thing} as an example? |
What comes after {a}, once {thing} is out of the way? |
Does {b} change anything if I go about it {how}? |
Who can I ask about {a} without losing {thing}? |
How long does {a} take {how}? |
What is the first thing to check about {b} before I {deed}? |
Would {thing} be enough to sort out {a} and {b}? |
How much of {a} is true, and how much is just {b}?
""")

ALIKE = 200
AFTERTHOUGHTS = _list(". | , today. | , these days. | , as it happens. | , apparently. | , at present. | , people say.")

RELATIONS = _list("""
colleague | customer | neighbour | sister | rival | carer | pupil | landlord | godfather | business partner |
physician | teammate | cousin | supplier | mentor | classmate | ex-husband | daughter | apprentice | bandmate |
tenant | pen friend
""")

FIRST_NAMES = _list("""
Amina | Bruno | Chiara | Dmitri | Eun-ji | Farid | Grace | Hamish | Ingrid | Jamal | Katya | Luis | Mei | Nikhil |
Oyelaran | Paloma | Quentin | Rosa | Sefa | Thandi | Ulf | Vera | Wanjiru | Ximena | Yusuf | Zofia
""")

SHAPES = _list("""
{Named} of {age} {place} who {does} and hopes to {wish}. |
{Named} {place} who {does}, worries that {worry}, and would love to {wish}. |
{Named} who {past}, now lives {place}, {does}, and wants to {wish}. |
{Age}-year-old {work} {place} who {does} and fears that {worry}. |
{Named} who {does}, {age} years old and settled {place}, afraid that {worry}. |
{Named}, {age}, who {past} and today {does}; the one wish left is to {wish}. |
{Named} {place} whose partner {does}, and who is convinced that {worry}. |
{Named} who tells everyone {place} that {worry}, and who secretly plans to {wish}. |
{Named} at {age} who {does}, {does_too}, and is determined to {wish}. |
{Named} born {place} who {past} and still {does}. |
{Named} {place}, {age}, for whom nothing matters more than to {wish} before {worry}. |
{Named} and former {work} who {does} and lies awake because {worry}. |
{Named} who moved away from the life of {other} to {wish}, and who {does} {place}. |
{Named} whose mother was {other} {place} and who, at {age}, {does} in order to {wish}. |
{Named} who {past}, suspects that {worry}, and {does} to keep calm. |
{Named} sharing a house {place} with {other}; the former {does}, the latter wants to {wish}. |
{Named} of {age} who is saving up to {wish} although {worry}. |
{Named} who {does} {place} and is known for having said that {worry}. |
{Named} trying to {wish} while working {place} for {other} who {does}. |
{Named} in the last year before retirement who {past}, {does}, and regrets never having managed to {wish}.
""")

_PLACES = {
    "Named": lambda draw: _capital(_named(draw)),
    "work": lambda draw: draw.one(OCCUPATIONS),
    "other": _named,
    "age": lambda draw: str(19 + draw.below(68)),
    "Age": lambda draw: f"A {20 + draw.below(60)}",
    "place": lambda draw: draw.one(PLACES),
    "does": lambda draw: draw.one(DOES),
    "does_too": lambda draw: draw.one(DOES),
    "wish": lambda draw: draw.one(WISHES),
    "worry": lambda draw: draw.one(WORRIES),
    "past": lambda draw: draw.one(PASTS),
}

_BY_NAME = [
    ("relation", lambda draw: draw.one(RELATIONS)),
    ("occupation", lambda draw: draw.one(OCCUPATIONS)),
    ("profession", lambda draw: draw.one(OCCUPATIONS)),
    ("job", lambda draw: draw.one(OCCUPATIONS)),
    ("place", lambda draw: draw.one(PLACES)),
    ("location", lambda draw: draw.one(PLACES)),
    ("wish", lambda draw: draw.one(WISHES)),
    ("goal", lambda draw: draw.one(WISHES)),
    ("worry", lambda draw: draw.one(WORRIES)),
    ("fear", lambda draw: draw.one(WORRIES)),
    ("name", lambda draw: draw.one(FIRST_NAMES)),
]

if __name__ == "__main__":
    main()
