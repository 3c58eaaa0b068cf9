"""Traces of a caller's work for OpenTelemetry: a span for each program, and below it one for each of its model calls by
the conventions for generative AI. Neither messages nor keys are in any.

Knows no Ray. OpenTelemetry is loaded where a `Tracing` is made, and only there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from cluster.call_notes import noted
from cluster.chat import Bring, ChatAnswer, ChatModel, ChatRequest
from cluster.errors import CallFailed, UserError
from cluster.program import Failed, Halted, Outcome, Program, ids_of
from cluster.span_words import answered, asked, failed

log = logging.getLogger(__name__)

_PACKAGE = "opentelemetry.exporter.otlp.proto.http"
_FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class Traces:
    """Where the spans of a run go: the address of a collector that takes OTLP over HTTP."""

    url: str
    run_id: str


def check_installed() -> None:
    """`UserError` where there is nothing that could send spans."""
    try:
        found = find_spec(_PACKAGE)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise UserError("llm.traces needs OpenTelemetry: pip install 'populace[otel]'")


def open_tracing(traces: Traces) -> Tracing | None:
    """None, and a warning, on a node where OpenTelemetry is not installed: no run ends for its traces."""
    try:
        check_installed()
    except UserError as error:
        log.warning("%s; this caller sends no traces", error)
        return None
    return Tracing(traces)


class Tracing:
    """Makes the spans of one process, and sends them from a thread of its own."""

    def __init__(self, traces: Traces) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from cluster.span_export import BearingExporter

        name = os.environ.get("OTEL_SERVICE_NAME", "populace")
        resource = Resource.create({"service.name": name, "populace.run.id": traces.run_id})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(BearingExporter(traces.url)))
        self._tracer = self._provider.get_tracer("populace")
        self._run_id = traces.run_id

    async def follow(self, program: Program[object], outcome: Awaitable[Outcome]) -> Outcome:
        """The program's outcome, which is awaited within its span."""
        ids = {f"populace.{name}.id": value for name, value in ids_of(program).items() if value}
        about = {"populace.run.id": self._run_id, **ids}
        with self._tracer.start_as_current_span(
            type(program).__name__, attributes=about, record_exception=False, set_status_on_exception=False
        ) as span:
            match found := await outcome:
                case Failed():
                    failed(span, found.kind.value)
                case Halted():
                    failed(span, "halt")
            return found

    async def answer(self, chat: ChatModel, request: ChatRequest) -> ChatAnswer:
        """The model's answer, which is awaited within the call's span."""
        from opentelemetry.trace import SpanKind

        with (
            noted() as notes,
            self._tracer.start_as_current_span(
                "chat", kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
            ) as span,
        ):
            try:
                answer = await chat.answer(request)
            except Exception as error:
                span.set_attributes(asked(request, notes))
                failed(span, error.kind.value if isinstance(error, CallFailed) else type(error).__name__.lower())
                raise
            told = asked(request, notes)
            told.setdefault("gen_ai.request.model", request.model or answer.model)
            span.set_attributes(told | answered(answer))
            span.update_name(f"chat {told['gen_ai.request.model']}")
            return answer

    async def flush(self) -> None:
        """Sends what has ended so far; waits some seconds for that at most."""
        await self._within(self._provider.force_flush)

    async def close(self) -> None:
        """Sends what has ended, and nothing more."""
        await self._within(self._provider.shutdown)

    async def _within(self, send: Callable[[], object]) -> None:
        """In a thread that does not keep the process from ending, as one of an executor would."""
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        loop = asyncio.get_running_loop()
        until = loop.time() + _FLUSH_S
        while thread.is_alive() and loop.time() < until:
            await asyncio.sleep(0.01)


class TracedChat:
    """A model each of whose calls is a span."""

    def __init__(self, chat: ChatModel, tracing: Tracing) -> None:
        self._chat, self._tracing = chat, tracing

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        return await self._tracing.answer(self._chat, request)

    async def recall(self, item: str, asked: Mapping[str, object], bring: Bring) -> Mapping[str, object]:
        return await self._chat.recall(item, asked, bring)

    async def catch_up(self) -> None:
        await self._chat.catch_up()

    async def stop(self, reason: str) -> None:
        await self._chat.stop(reason)

    async def close(self) -> None:
        await self._chat.close()
