"""A collector of OpenTelemetry as tests need it: OTLP over HTTP on a port of its own, and what came in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span; ids are bytes, that of a root's parent is empty."""

    name: str
    trace: bytes
    id: bytes
    parent: bytes
    failed: bool
    told: dict[str, Any]


@dataclass
class Collector:
    """`raw` are the bodies of all requests, with their headers."""

    url: str
    raw: list[bytes] = field(default_factory=list)

    def resource(self) -> dict[str, Any]:
        return _told(_requests(self.raw)[0].resource_spans[0].resource.attributes)

    def spans(self) -> list[Seen]:
        return [
            Seen(one.name, one.trace_id, one.span_id, one.parent_span_id, one.status.code == 2, _told(one.attributes))
            for request in _requests(self.raw)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for one in scope.spans
        ]


def _requests(raw: list[bytes]) -> list[ExportTraceServiceRequest]:
    return [ExportTraceServiceRequest.FromString(body.partition(b"\n\n")[2]) for body in raw]


def _told(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            here.raw.append(str(self.headers).strip().encode() + b"\n\n" + body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Collector(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield here
        finally:
            server.shutdown()
