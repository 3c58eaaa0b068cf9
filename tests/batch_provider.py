"""The model server's `/v1/files` and `/v1/batches`: as OpenAI's behave, quicker, and with faults on request.

Files and batches belong to the key that made them where `batch_accounts` says so, else to all keys alike. A batch runs
through validating, in_progress and finalizing in `batch_s` seconds and ends as `batch_endings` says of the how manieth
one it is: completed, failed, expired, cancelled, or failed_lines (its first line is at fault). Of an expired or
cancelled one the first half is answered. `batch_script` lets calls fail, by route and count: `create:0=lost`,
`upload:0-2=503`. Routes are upload, files, file, delete, content, create, batches, retrieve and cancel. Besides
statuses the faults are

    lost     the work is done, and the connection reset instead of an answer
    reset    nothing is done, and the connection reset
    stall    nothing is done, and nothing answered
    hold     the work is done, and nothing answered
    cut      half of the body, then a reset
    half     half of the body, then nothing
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

FAULTS = frozenset({"lost", "reset", "stall", "hold", "cut", "half"})
ENDINGS = frozenset({"completed", "failed", "failed_lines", "expired", "cancelled"})
_WINDOW_S = 86_400
_TICK_S = 0.01
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})

AnswerItem = Callable[[str, bytes], tuple[int, bytes]]
"""Status and body of one request, given the key and the bytes of its body."""


class Options(Protocol):
    keys: list[str]
    batches: bool
    batch_s: float
    batch_accounts: bool
    batch_requests: int
    batch_enqueued: int
    batch_endings: list[str]
    batch_script: list[str]


@dataclass(slots=True)
class File:
    """An uploaded or a made file."""

    id: str
    filename: str
    purpose: str
    content: bytes
    account: str
    created_at: int

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created_at,
            "expires_at": None,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


@dataclass(slots=True)
class Batch:
    """A batch as it is now."""

    id: str
    input_file_id: str
    account: str
    key: str
    metadata: dict[str, str] | None
    ending: str
    began: float
    created_at: int
    status: str = "validating"
    model: str | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    errors: list[dict[str, object]] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None
    cancelling: bool = False
    ended_at: int | None = None

    def as_json(self) -> dict[str, object]:
        times = {f"{name}_at": self.ended_at if self.status == name else None for name in _OVER}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "model": self.model,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": "cancelling" if self.cancelling and self.status not in _OVER else self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "in_progress_at": None,
            "expires_at": self.created_at + _WINDOW_S,
            "finalizing_at": None,
            "cancelling_at": None,
            **times,
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "metadata": self.metadata,
        }


class BatchProvider:
    """The handler of both paths. `answer_item` answers, and counts, the single requests."""

    def __init__(self, options: Options, answer_item: AnswerItem) -> None:
        self._options, self._answer_item = options, answer_item
        self._files: dict[str, File] = {}
        self._batches: dict[str, Batch] = {}
        self._calls: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()  # calls since `batch_script` was set
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = ""
        self._made = self._prompt_tokens = self._completion_tokens = 0

    def reset(self) -> None:
        """Forget all files and batches; what is under way ends unanswered."""
        for task in self._tasks:
            task.cancel()
        self._files, self._batches = {}, {}
        self._prompt_tokens = self._completion_tokens = 0
        self._calls.clear()
        self._seen.clear()

    def forget_script(self) -> None:
        self._seen.clear()
        self._held = ""

    def as_json(self) -> dict[str, object]:
        batches = self._batches.values()
        return {
            "created": len(batches),
            "statuses": dict(Counter(one.status for one in batches)),
            "requests": sum(one.total for one in batches),
            "largest": max((one.total for one in batches), default=0),
            "completed": sum(one.completed for one in batches),
            "failed": sum(one.failed for one in batches),
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._completion_tokens,
            "held": self._held,
            "files": sorted(one.filename for one in self._files.values()),
            "calls": dict(self._calls),
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._options.batches:
            return error(404, f"Invalid URL ({request.method} {request.path})")
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._options.keys and key not in self._options.keys:
            return error(401, "Incorrect API key provided.", "invalid_api_key")
        route, work = self._route(request, key)
        if work is None:
            return error(405, "Method not allowed")
        fault = self._fault(route)
        self._calls[route] += 1
        if fault in ("stall", "hold", "half"):
            self._held = f"{route}:{self._seen[route] - 1}={fault}"
        if fault == "reset":
            return _abort(request)
        if fault == "stall":
            return await _nothing()
        if fault.isdigit():
            code = "rate_limit_exceeded" if fault == "429" else "invalid_api_key" if fault == "401" else None
            headers = {"Retry-After": "0.2"} if fault == "429" else None
            return error(int(fault), f"An error of status {fault}.", code, headers)
        response = await work()
        if fault == "lost":
            return _abort(request)
        if fault == "hold":
            return await _nothing()
        if fault in ("cut", "half"):
            return await _half(request, response, fault)
        return response

    def _fault(self, route: str) -> str:
        count = self._seen[route]
        self._seen[route] += 1
        for line in self._options.batch_script:
            where, _, fault = line.partition("=")
            name, _, numbers = where.partition(":")
            first, dash, last = numbers.partition("-")
            if name == route and int(first or 0) <= count <= float(last or "inf" if dash else first or "inf"):
                return fault
        return ""

    def _route(self, request: web.BaseRequest, key: str) -> tuple[str, Callable[[], Any] | None]:
        account = key if self._options.batch_accounts else ""
        parts, method = request.path.strip("/").split("/")[1:], request.method
        match [method, *parts]:
            case ["POST", "files"]:
                return "upload", lambda: self._upload(request, account)
            case ["GET", "files"]:
                return "files", lambda: self._list(request, self._files, account)
            case ["GET", "files", name]:
                return "file", lambda: self._file(name, account)
            case ["DELETE", "files", name]:
                return "delete", lambda: self._delete(name, account)
            case ["GET", "files", name, "content"]:
                return "content", lambda: self._content(name, account)
            case ["POST", "batches"]:
                return "create", lambda: self._create(request, account, key)
            case ["GET", "batches"]:
                return "batches", lambda: self._list(request, self._batches, account)
            case ["GET", "batches", name]:
                return "retrieve", lambda: self._retrieve(name, account)
            case ["POST", "batches", name, "cancel"]:
                return "cancel", lambda: self._cancel(name, account)
        return "unknown", None

    # ---- files

    async def _upload(self, request: web.BaseRequest, account: str) -> web.Response:
        if not request.content_type.startswith("multipart/"):
            return error(415, "Unsupported content type.")
        values: dict[str, bytes] = {}
        filename = "upload"
        async for part in await request.multipart():
            if part.name == "file":
                filename = part.filename or filename
            values[str(part.name)] = bytes(await part.read())
        purpose = values.get("purpose", b"").decode()
        if "file" not in values or purpose not in ("batch", "fine-tune", "assistants", "vision", "user_data"):
            return error(400, "'purpose' and 'file' are required", param="purpose")
        return web.json_response(self._new_file(filename, purpose, values["file"], account).as_json())

    def _new_file(self, filename: str, purpose: str, content: bytes, account: str) -> File:
        self._made += 1
        file = File(f"file-{self._made:06d}", filename, purpose, content, account, int(time.time()))
        self._files[file.id] = file
        return file

    async def _file(self, name: str, account: str) -> web.Response:
        file = self._files.get(name)
        if file is None or file.account != account:
            return error(404, f"No such File object: {name}", param="id")
        return web.json_response(file.as_json())

    async def _delete(self, name: str, account: str) -> web.Response:
        file = self._files.get(name)
        if file is None or file.account != account:
            return error(404, f"No such File object: {name}", param="id")
        del self._files[name]
        return web.json_response({"id": name, "object": "file", "deleted": True})

    async def _content(self, name: str, account: str) -> web.Response:
        file = self._files.get(name)
        if file is None or file.account != account:
            return error(404, f"No such File object: {name}", param="id")
        return web.Response(body=file.content, content_type="application/octet-stream")

    async def _list(self, request: web.BaseRequest, held: dict[str, Any], account: str) -> web.Response:
        """The newest first, a page at a time."""
        purpose, after = request.query.get("purpose"), request.query.get("after")
        rows = [one for one in reversed(list(held.values())) if one.account == account]
        rows = [one for one in rows if not purpose or one.purpose == purpose]
        names = [one.id for one in rows]
        start = names.index(after) + 1 if after in names else 0
        limit = int(request.query.get("limit", 20))
        page = rows[start : start + limit]
        return web.json_response(
            {
                "object": "list",
                "data": [one.as_json() for one in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": start + limit < len(rows),
            }
        )

    # ---- batches

    async def _create(self, request: web.BaseRequest, account: str, key: str) -> web.Response:
        try:
            asked = json.loads(await request.read())
        except ValueError:
            return error(400, "We could not parse the JSON body of your request.")
        if asked.get("completion_window") != "24h" or asked.get("endpoint") != "/v1/chat/completions":
            return error(400, "Invalid value for 'completion_window' or 'endpoint'.", param="completion_window")
        file = self._files.get(str(asked.get("input_file_id")))
        if file is None or file.account != account or file.purpose != "batch":
            return error(400, "Invalid 'input_file_id'.", param="input_file_id")
        number, endings = len(self._batches), self._options.batch_endings
        ending = endings[number] if number < len(endings) else "completed"
        batch = Batch(
            f"batch_{number:06d}",
            file.id,
            account,
            key,
            asked.get("metadata"),
            ending,
            time.monotonic(),
            int(time.time()),
        )
        self._batches[batch.id] = batch
        task = asyncio.get_running_loop().create_task(self._run(batch, file.content))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.json_response(batch.as_json())

    async def _retrieve(self, name: str, account: str) -> web.Response:
        batch = self._batches.get(name)
        if batch is None or batch.account != account:
            return error(404, f"No batch found with id '{name}'.")
        return web.json_response(batch.as_json())

    async def _cancel(self, name: str, account: str) -> web.Response:
        batch = self._batches.get(name)
        if batch is None or batch.account != account:
            return error(404, f"No batch found with id '{name}'.")
        if batch.status in _OVER:
            return error(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.cancelling = True
        return web.json_response(batch.as_json())

    async def _run(self, batch: Batch, content: bytes) -> None:
        lines = content.splitlines()
        await self._until(batch, 0.25)
        batch.errors = self._faults_of(batch, lines)
        if batch.errors:
            return _end(batch, "failed")
        batch.status, batch.total = "in_progress", len(lines)
        batch.model = json.loads(lines[0])["body"]["model"]
        answered = len(lines) if batch.ending == "completed" else len(lines) // 2
        done: list[dict[str, object]] = []
        missed: list[dict[str, object]] = []
        for number, line in enumerate(lines[:answered]):
            await self._until(batch, 0.25 + 0.5 * number / len(lines))
            if batch.cancelling:
                break
            row = self._answered(batch, number, json.loads(line))
            good = row["response"]["status_code"] == 200  # type: ignore[index]
            (done if good else missed).append(row)
            batch.completed, batch.failed = len(done), len(missed)
        ending = "cancelled" if batch.cancelling else batch.ending
        batch.status = "finalizing"
        await self._until(batch, 1.0)
        code = "batch_expired" if ending == "expired" else "batch_cancelled"
        for number, line in enumerate(lines[len(done) + len(missed) :], len(done) + len(missed)):
            missed.append(_unanswered(batch, number, json.loads(line), code))
        batch.output_file_id = self._write(batch, "output", done)
        batch.error_file_id = self._write(batch, "error", missed)
        batch.failed = len(missed)
        _end(batch, ending)

    async def _until(self, batch: Batch, share: float) -> None:
        """Wait until so much of `batch_s`, which may change meanwhile, is over."""
        while time.monotonic() - batch.began < share * self._options.batch_s and not batch.cancelling:
            await asyncio.sleep(_TICK_S)

    def _faults_of(self, batch: Batch, lines: list[bytes]) -> list[dict[str, object]]:
        """What validation finds."""
        if batch.ending == "failed":
            return [_fault_of("server_error", "The batch could not be validated.", None)]
        if batch.ending == "failed_lines":
            return [_fault_of("invalid_request", "This line is not supported.", 1)]
        if len(lines) > self._options.batch_requests:
            return [_fault_of("too_many_tasks", f"The batch has more than {self._options.batch_requests} lines.", None)]
        waiting = sum(one.total for one in self._batches.values() if one.status not in _OVER)
        if self._options.batch_enqueued and waiting + len(lines) > self._options.batch_enqueued:
            return [_fault_of("token_limit_exceeded", "Enqueued token limit reached.", None)]
        return [] if lines else [_fault_of("empty_file", "The input file is empty.", None)]

    def _answered(self, batch: Batch, number: int, line: dict[str, Any]) -> dict[str, object]:
        assert line["method"] == "POST" and line["url"] == "/v1/chat/completions"
        status, body = self._answer_item(batch.key, json.dumps(line["body"]).encode())
        content = json.loads(body)
        used = content.get("usage") or {}
        self._prompt_tokens += used.get("prompt_tokens", 0)
        self._completion_tokens += used.get("completion_tokens", 0)
        response = {"status_code": status, "request_id": f"req_{number}", "body": content}
        return {"id": f"batch_req_{number}", "custom_id": line["custom_id"], "response": response, "error": None}

    def _write(self, batch: Batch, kind: str, rows: list[dict[str, object]]) -> str | None:
        if not rows:
            return None
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return self._new_file(f"{batch.id}_{kind}.jsonl", "batch_output", content, batch.account).id


def _unanswered(batch: Batch, number: int, line: dict[str, Any], code: str) -> dict[str, object]:
    fault = {"code": code, "message": "This request was not executed before the batch ended."}
    return {"id": f"batch_req_{number}", "custom_id": line["custom_id"], "response": None, "error": fault}


def _fault_of(code: str, message: str, line: int | None) -> dict[str, object]:
    return {"code": code, "message": message, "param": None, "line": line}


def _end(batch: Batch, status: str) -> None:
    batch.status, batch.ended_at = ("failed" if status == "failed_lines" else status), int(time.time())


def error(
    status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None, param: str | None = None
) -> web.Response:
    content = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}
    return web.json_response(content, status=status, headers=headers)


def _abort(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.StreamResponse()


async def _nothing() -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.StreamResponse()


async def _half(request: web.BaseRequest, whole: web.Response, fault: str) -> web.StreamResponse:
    body = bytes(whole.body or b"")  # type: ignore[arg-type]
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    await asyncio.sleep(0.05)
    return _abort(request) if fault == "cut" else await _nothing()
