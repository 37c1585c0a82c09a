"""What the front door measures, for Prometheus.

No label carries a tenant, a key or anything else that a client can choose: the number of series is
fixed. Figures per tenant come from the ledger in the database, which is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from api.outcomes import Answer, Outcome
from pipeline.stream.port import Group

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
COUNTS = (1, 10, 50, 100, 500, 1_000, 2_500, 5_000, 10_000)


class Metrics:
    """One process's measurements, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "workbench_http_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "workbench_http_request_seconds",
            "From a request's head to the beginning of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._events = Counter("workbench_events", "Events answered.", ("outcome",), registry=registry)
        self._request_events = Histogram(
            "workbench_request_events", "Events per request.", buckets=COUNTS, registry=registry
        )
        self._publish_seconds = Histogram(
            "workbench_publish_seconds",
            "From decoded events to their durable fate, waiting for landing included.",
            buckets=SECONDS,
            registry=registry,
        )
        self._group_seconds = Histogram(
            "workbench_group_seconds",
            "From a group of publishes to its being durable.",
            buckets=SECONDS,
            registry=registry,
        )
        self._group_events = Histogram("workbench_group_events", "Events per group.", buckets=COUNTS, registry=registry)
        self._group_requests = Histogram(
            "workbench_group_requests", "Requests per group.", buckets=COUNTS, registry=registry
        )
        self._queued = Gauge(
            "workbench_queued_events", "Events that wait or are being made durable.", registry=registry
        )
        self._spooled_events = Gauge(
            "workbench_spooled_events", "Events that wait on disk for the broker.", registry=registry
        )
        self._spooled_bytes = Gauge("workbench_spooled_bytes", "Bytes that these events take.", registry=registry)
        for outcome in Outcome:
            self._events.labels(outcome.value)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is one of ours, not the path that was asked for."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def observe_answer(self, answer: Answer) -> None:
        """The events of a request were answered."""
        self._request_events.observe(len(answer.results))
        for outcome in Outcome:
            self._events.labels(outcome.value).inc(getattr(answer, outcome.value))

    def time_publish(self) -> AbstractContextManager[object]:
        """Time the block as a publish."""
        return self._publish_seconds.time()

    def observe_group(self, group: Group) -> None:
        """A group of publishes was landed, or acknowledged by the broker, or spooled."""
        self._group_seconds.observe(group.seconds)
        self._group_events.observe(group.events)
        self._group_requests.observe(group.publishes)

    def watch_queue(self, queued: Callable[[], int]) -> None:
        """Ask `queued` for the events that wait whenever the metrics are read."""
        self._queued.set_function(queued)

    def watch_spool(self, *, events: Callable[[], int], size: Callable[[], int]) -> None:
        """Ask for the events and bytes that are spooled whenever the metrics are read."""
        self._spooled_events.set_function(events)
        self._spooled_bytes.set_function(size)

    def expose(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)
