"""A collector of traces: takes OTLP over HTTP, as an OpenTelemetry collector does, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span as it was received, ids in hexadecimal digits."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    """Trace and span of each."""
    about: dict[str, str]
    failed: bool

    @property
    def place(self) -> tuple[str, str]:
        """What a link to it says."""
        return self.trace_id, self.span_id


class Collector:
    """What was received so far."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._lock = threading.Lock()
        self._spans: list[Span] = []

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep what a process sent."""
        spans = [
            _span(attributes["service.name"], message)
            for resource in request.resource_spans
            for attributes in [{each.key: each.value.string_value for each in resource.resource.attributes}]
            for scope in resource.scope_spans
            for message in scope.spans
        ]
        with self._lock:
            self._spans += spans

    def named(self, name: str) -> list[Span]:
        """The spans of this name, in the order in which they came."""
        with self._lock:
            return [span for span in self._spans if span.name == name]

    def children(self, parent: Span) -> list[Span]:
        """The spans within this one."""
        with self._lock:
            return [span for span in self._spans if (span.trace_id, span.parent_id) == parent.place]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens while the block runs, at the path that OTLP gives to traces."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            is_ours = self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf"
            if is_ours:
                collector.take(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if is_ours else 404)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Tests tell what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _span(service: str, message: Message) -> Span:
    return Span(
        service=service,
        name=message.name,
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        parent_id=message.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in message.links),
        about={each.key: each.value.string_value or str(each.value.int_value) for each in message.attributes},
        failed=message.status.code == message.status.STATUS_CODE_ERROR,
    )
