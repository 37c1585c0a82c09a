"""Traces: what a request, a delivery and a promotion went through, told to OpenTelemetry.

Spans are always begun by OpenTelemetry's API, which does nothing until `exporting` has given it an
address; the SDK is imported there and nowhere else. What is done to many requests at once is a trace
of its own that links to theirs; what is done to one alone is part of its trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, format_span_id, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from pipeline.core.errors import WorkbenchError

TRACES_PATH = "/v1/traces"
DISTRIBUTION = "analytics-workbench"
MOST_LINKS = 128
"""OpenTelemetry's own bound of the links of a span."""
EXPORT_SECONDS = 5.0
"""How long an export may take, the last one at the end of a process included."""

_tracer = trace.get_tracer(DISTRIBUTION)
_propagator = TraceContextTextMapPropagator()


@contextmanager
def exporting(endpoint: str | None, *, process: str) -> Iterator[None]:
    """Send this process's spans to an OTLP/HTTP address while the block runs; without one, do nothing.

    An address without a path gets TRACES_PATH. OpenTelemetry's own variables decide the rest: how much is
    sampled, with what headers and certificates it is sent. To be entered once in a process.
    """
    if endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    address = endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH
    told = {SERVICE_NAME: f"workbench-{process}", SERVICE_VERSION: version(DISTRIBUTION)}
    provider = TracerProvider(resource=Resource.create(told))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS)))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


@contextmanager
def span(name: str, *, kind: SpanKind = SpanKind.INTERNAL, **about: object) -> Iterator[None]:
    """A span around the block, within the one under way; an error that leaves the block is its outcome."""
    with _entered(_tracer.start_span(name, kind=kind, attributes=_attributes(about))):
        yield


@contextmanager
def span_after(traceparents: Iterable[str], name: str, *, kind: SpanKind, **about: object) -> Iterator[None]:
    """A span around a block that works on what these spans left: within it if it is one, else linked to all.

    Whatever span is under way is not its parent.
    """
    contexts = [context for each in traceparents if (context := _context(each)) is not None]
    if len(contexts) == 1:
        begun = _tracer.start_span(name, _within(contexts[0]), kind=kind, attributes=_attributes(about))
    else:
        links = [Link(context) for context in contexts[:MOST_LINKS]]
        begun = _tracer.start_span(name, Context(), kind=kind, attributes=_attributes(about), links=links)
    with _entered(begun):
        yield


def annotate(**about: object) -> None:
    """Say what the span under way is about."""
    under_way = trace.get_current_span()
    if under_way.is_recording():
        under_way.set_attributes(_attributes(about))


def link(traceparents: Iterable[str]) -> None:
    """Say that the span under way works on what these spans left; MOST_LINKS of them at most."""
    under_way = trace.get_current_span()
    if under_way.is_recording():
        for context in list(filter(None, map(_context, traceparents)))[:MOST_LINKS]:
            under_way.add_link(context)


def traceparent() -> str | None:
    """The span under way as W3C's `traceparent`, to be handed on; None where nothing is recorded of it."""
    carrier: dict[str, str] = {}
    if trace.get_current_span().is_recording():
        _propagator.inject(carrier)
    return carrier.get("traceparent")


def ids() -> Mapping[str, object]:
    """The ids of the span under way, for a log line; nothing where there is none."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}


@contextmanager
def _entered(begun: Span) -> Iterator[None]:
    with trace.use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            # A message of ours is for people; a driver's may repeat data.
            told = error.message if isinstance(error, WorkbenchError) else type(error).__name__
            begun.set_status(Status(StatusCode.ERROR, told))
            begun.set_attribute("error.type", type(error).__qualname__)
            raise


def _attributes(about: Mapping[str, object]) -> dict[str, AttributeValue]:
    return {
        f"workbench.{name}": value if isinstance(value, bool | int | float) else str(value)
        for name, value in about.items()
    }


def _context(traceparent: str) -> SpanContext | None:
    context = trace.get_current_span(_propagator.extract({"traceparent": traceparent}, Context())).get_span_context()
    return context if context.is_valid else None


def _within(parent: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
