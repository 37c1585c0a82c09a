"""Spans: what is within what, what links to what, and what is told of an error."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from pipeline.core import tracing
from pipeline.core.errors import PromotionError
from pipeline.stream.headers import headers_of, traceparents


class Recorded:
    """The spans that ended, in that order."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        [found] = [span for span in self.spans if span.name == name]
        return found


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """What this test records; other tests record nothing."""
    recorded = Recorded()
    monkeypatch.setattr(tracing, "_tracer", recorded.provider.get_tracer("tests"))
    return recorded


def published(*names: str) -> list[str]:
    """Spans that ended, as they are handed on."""
    handed_on = []
    for name in names:
        with tracing.span(name):
            handed_on.append(str(tracing.traceparent()))
    return handed_on


def place(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def test_what_one_span_left_is_worked_on_within_it(recorded: Recorded) -> None:
    with tracing.span_after(published("accept"), "land", kind=SpanKind.CONSUMER, records=3):
        pass
    landed = recorded.named("land")
    assert landed.parent is not None
    assert (landed.parent.trace_id, landed.parent.span_id) == place(recorded.named("accept"))
    assert dict(landed.attributes or {}) == {"workbench.records": 3}


def test_what_several_spans_left_is_worked_on_in_a_trace_that_links_to_each(recorded: Recorded) -> None:
    handed_on = published("first", "second")
    with tracing.span("whatever is under way"), tracing.span_after(handed_on, "land", kind=SpanKind.CONSUMER):
        pass
    landed = recorded.named("land")
    assert landed.parent is None
    linked = [(link.context.trace_id, link.context.span_id) for link in landed.links]
    assert linked == [place(recorded.named("first")), place(recorded.named("second"))]


def test_links_are_bounded(recorded: Recorded) -> None:
    many = published(*(str(number) for number in range(tracing.MOST_LINKS + 10)))
    with tracing.span_after(many, "land", kind=SpanKind.CONSUMER):
        pass
    with tracing.span("promotion"):
        tracing.link(many)
    assert len(recorded.named("land").links) == len(recorded.named("promotion").links) == tracing.MOST_LINKS


@pytest.mark.parametrize("sent", ["", "00-0-0-01", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "\ufffd"])
def test_what_is_no_traceparent_begins_a_trace(recorded: Recorded, sent: str) -> None:
    with tracing.span_after([sent], "land", kind=SpanKind.CONSUMER):
        pass
    assert recorded.named("land").parent is None


def test_an_error_is_told_in_our_words_and_never_in_a_drivers(recorded: Recorded) -> None:
    with pytest.raises(PromotionError), tracing.span("promotion"), tracing.span("publish"):
        raise PromotionError("Nothing was published.")
    with pytest.raises(psycopg.Error), tracing.span("land"):
        raise psycopg.DataError("invalid input: 'a value of a tenant'")
    told = [(span.name, span.status.description, span.status.is_ok) for span in recorded.spans]
    assert told == [
        ("publish", "Nothing was published.", False),
        ("promotion", "Nothing was published.", False),
        ("land", "DataError", False),
    ]
    assert not any(span.events for span in recorded.spans)


def test_where_nothing_is_traced_nothing_is_handed_on() -> None:
    with tracing.span("request"):
        assert tracing.traceparent() is None
        assert tracing.ids() == {}
    assert headers_of(None) == []


def test_headers_of_records_bring_back_what_was_put_there_and_survive_what_others_put() -> None:
    ours = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert list(traceparents(headers_of(ours))) == [ours]
    assert list(traceparents([("other", b"x"), ("traceparent", None), ("traceparent", b"\xff")])) == ["\ufffd"]
