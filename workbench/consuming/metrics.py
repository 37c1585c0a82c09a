"""What the consumer measures, for Prometheus.

What a process counts itself is of itself alone. Lag, open dead letters and the ledger are read when
somebody asks, at most every few seconds; they are of the whole group, and every process tells the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.stream.consumption import Landed
from workbench import exposition
from workbench.accounting.ledger import LedgerHour
from workbench.consuming.delays import Delays, Sample
from workbench.consuming.standing import Account, Standing

DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200)
LANDING_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
COUNTS = (1, 10, 100, 500, 1_000, 2_500, 5_000, 10_000)
QUANTILES = (0.5, 0.95, 0.99)
FATES = ("accepted", "stored", "duplicate", "dead_lettered", "in_flight")
PATIENCE_SECONDS = 3.0
"""A scrape waits for the database and the broker no longer; then it tells what was known before."""


class ConsumerMetrics:
    """One process's measurements, in a registry of their own; `delays` are those of the last minute."""

    def __init__(self, standing: Standing, delays: Delays) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_StandingCollector(standing))
        self._recent = delays
        self._delays = Histogram(
            "workbench_accept_to_stored_seconds",
            "From an event's acceptance by the API to its being durable, of a sample of each delivery.",
            buckets=DELAYS,
            registry=registry,
        )
        recent = Gauge(
            "workbench_accept_to_stored_recent_seconds",
            "The same as quantiles over all events of the last minute; absent in a minute without events.",
            ("quantile",),
            registry=registry,
        )
        for quantile in QUANTILES:
            recent.labels(str(quantile)).set_function(partial(self._quantile, quantile))
        self._records = Counter("workbench_landed_records", "Records landed, by fate.", ("fate",), registry=registry)
        for fate in FATES[1:4]:
            self._records.labels(fate)
        self._seconds = Histogram(
            "workbench_landing_seconds",
            "From a delivery's handing over to its being durable.",
            buckets=LANDING_SECONDS,
            registry=registry,
        )
        self._sizes = Histogram(
            "workbench_delivery_records", "Records per delivery.", buckets=COUNTS, registry=registry
        )

    def observe(self, landed: Landed, samples: Sequence[Sample]) -> None:
        """A delivery is durable."""
        for delay, _ in samples:
            self._delays.observe(delay)
        for fate in FATES[1:4]:
            self._records.labels(fate).inc(getattr(landed.settled, fate))
        self._seconds.observe(landed.seconds)
        self._sizes.observe(landed.delivery.records)

    def _quantile(self, quantile: float) -> float:
        found = self._recent.quantiles([quantile])
        return found[0] if found else float("nan")


def served(metrics: ConsumerMetrics, *, host: str, port: int) -> AbstractContextManager[str]:
    """Serve the metrics while the block runs; yields their address. Raises StackError for a port in use."""
    return exposition.served(metrics.registry, host=host, port=port, remedy="choose another port with --metrics-port")


class _StandingCollector(Collector):
    """What is read when it is asked for."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def describe(self) -> list[Metric]:
        """Nothing: to register it must not wait for a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        lag = self._standing.lag(patience=PATIENCE_SECONDS)
        account = self._standing.account(patience=PATIENCE_SECONDS)
        yield _known("workbench_broker_up", "Whether the broker told where the partitions end.", lag is not None)
        yield _known("workbench_ledger_up", "Whether the database told the ledger.", account is not None)
        if lag is not None:
            family = GaugeMetricFamily(
                "workbench_stream_lag_records", "Records that have not landed.", labels=("partition",)
            )
            for partition, records in lag.items():
                family.add_metric((str(partition),), records)
            yield family
        if account is not None:
            yield _open_letters(account)
            yield _ledger(account.hours)


def _known(name: str, meaning: str, value: bool) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _open_letters(account: Account) -> Metric:
    family = GaugeMetricFamily(
        "workbench_dead_letters_open", "Dead letters that wait for a replay.", labels=("reason",)
    )
    for reason, letters in account.open_letters.items():
        family.add_metric((reason,), letters)
    return family


def _ledger(hours: Sequence[LedgerHour]) -> Metric:
    family = GaugeMetricFamily(
        "workbench_ledger_events",
        "Events received in this hour and the one before, by fate: accepted is the sum of the others. "
        "Without in_flight, it is not known, and not part of what is accepted.",
        labels=("tenant_id", "hour", "fate"),
    )
    for row in hours:
        hour = row.hour.strftime("%Y-%m-%dT%H:00Z")
        for fate in FATES:
            if (events := getattr(row, fate)) is not None:
                family.add_metric((row.tenant_id, hour, fate), events)
    return family
