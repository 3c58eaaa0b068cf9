"""Sends spans to a collector, and bears it when there is none: a warning, and a rest before it is tried again.

Loads OpenTelemetry.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = logging.getLogger(__name__)

_PATH = "/v1/traces"
_TIMEOUT_S = 2.0
_REST_S = 30.0


class BearingExporter(SpanExporter):
    """To the collector at `url`. Headers, such as a collector's own key, are those of OTEL_EXPORTER_OTLP_HEADERS."""

    def __init__(self, url: str) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it is told once, here, and not for each batch
        self._url = url
        self._exporter = OTLPSpanExporter(url.removesuffix(_PATH) + _PATH, timeout=_TIMEOUT_S)
        self._rests_until, self._is_down = 0.0, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if time.monotonic() < self._rests_until:
            return SpanExportResult.FAILURE
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._is_down = False
            return result
        if not self._is_down:
            log.warning("%s takes no traces; it is tried every %d s, and spans are lost", self._url, _REST_S)
        self._rests_until, self._is_down = time.monotonic() + _REST_S, True
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
