"""What is told to Prometheus of promotions, holds and what is pending.

All of it is read from the ledger when somebody asks, at most every few seconds: a process that promotes
and one that only looks tell the same. The label `tenant_id` stands at held tenants only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.core.logs import DISTRIBUTION
from workbench.consuming.refreshed import Refreshed
from workbench.promoting.standing import Ended, Held, Last, Pending, Rest, Standing

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 10.0
PATIENCE_SECONDS = 3.0
"""Then it tells what was known before."""


def registry_of(
    read: Callable[[], Standing], *, every_seconds: int, patience: float = PATIENCE_SECONDS
) -> CollectorRegistry:
    """The metrics of what `read` answers, with those of the process itself.

    `every_seconds` is how often promotions are due; a scrape waits for an answer for `patience` seconds.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    standing = Refreshed(read, every_seconds=SECONDS_BETWEEN_LOOKS)
    registry.register(_StandingCollector(standing, every_seconds, patience))
    return registry


class _StandingCollector(Collector):
    """What is read when it is asked for."""

    def __init__(self, standing: Refreshed[Standing], every_seconds: int, patience: float) -> None:
        self._standing = standing
        self._every_seconds = every_seconds
        self._patience = patience

    def describe(self) -> list[Metric]:
        """Nothing: to register it must not wait for a database."""
        return []

    def collect(self) -> Iterator[Metric]:
        standing = self._standing.value(patience=self._patience)
        yield InfoMetricFamily("workbench_build", "The release.", value={"version": version(DISTRIBUTION)})
        yield _gauge("promotion_interval_seconds", "How often promotions are due.", self._every_seconds)
        yield _gauge("promotions_up", "Whether the database told where promotions stand.", standing is not None)
        if standing is None:
            log.warning("where promotions stand is not known: %s", self._standing.problem or "no answer yet")
            return
        yield from _ended(standing.ended)
        if standing.last is not None:
            yield from _last(standing.last)
        yield from _rest(standing.rest)
        yield from _pending({each.held: each for each in standing.pending})
        yield _held(standing.held)


def _ended(ended: Ended) -> Iterator[Metric]:
    yield from _moment(
        "promotion_last_success_timestamp_seconds",
        "When the latest promotion ended that was published or found nothing new.",
        ended.succeeded_at,
    )
    yield from _moment(
        "promotion_running_since_timestamp_seconds",
        "Since when a promotion is under way, or rests between its steps; absent where none is.",
        ended.running_since,
    )
    yield _gauge("promotion_failures_since_success", "Promotions that failed since then.", ended.failures_since)
    yield _labelled("promotions_recent", "Promotions begun in the last 24 hours.", "state", ended.recent)


def _last(last: Last) -> Iterator[Metric]:
    about = "of the latest promotion that was published"
    yield from _moment("promotion_last_published_timestamp_seconds", f"The end {about}.", last.finished_at)
    yield _gauge("promotion_seconds", f"From beginning to end {about}, rests between steps included.", last.seconds)
    yield _labelled("promotion_step_seconds", f"Seconds of each step {about}.", "step", last.step_seconds)
    yield _gauge("promotion_events", f"Raw events {about}.", last.events)
    tenants = {"promoted": last.promoted, "held": last.held}
    yield _labelled("promotion_tenants", f"Tenants {about}.", "outcome", tenants)
    rows = {"written": last.rows_written, "deleted": last.rows_deleted}
    yield _labelled("promotion_rows", f"Rows of the marts {about}.", "change", rows)


def _rest(rest: Rest) -> Iterator[Metric]:
    yield from _moment(
        "oldest_as_of_timestamp_seconds",
        "Up to when the marts hold what was landed, for every tenant that is not held.",
        rest.oldest_as_of,
    )
    yield _labelled("tenants", "Tenants.", "status", {"active": 0, "suspended": 0} | dict(rest.tenants))
    verdicts = dict.fromkeys(("failed", "errored", "empty", "unseen", "rolled_back"), 0)
    yield _labelled("held_tenants", "Tenants that are held.", "verdict", verdicts | dict(rest.held))
    yield _labelled("notifications", "Notifications that nobody has taken.", "state", rest.notifications)
    yield _gauge(
        "database_bytes", "Bytes of tables and indexes, as the last vacuum of each found it.", rest.database_bytes
    )


def _pending(pending: Mapping[bool, Pending]) -> Iterator[Metric]:
    events = {_yes(held): pending[held].events if held in pending else 0 for held in (False, True)}
    tenants = {_yes(held): pending[held].tenants if held in pending else 0 for held in (False, True)}
    yield _labelled("pending_events", "Events that are landed and not published.", "held", events)
    yield _labelled("pending_tenants", "Tenants that have such events.", "held", tenants)


def _held(held: Iterable[Held]) -> Metric:
    family = GaugeMetricFamily(
        "workbench_held_tenant_since_timestamp_seconds",
        "Since when a tenant is held; those held for the longest, a hundred at most.",
        labels=("tenant_id", "verdict"),
    )
    for each in held:
        family.add_metric((each.tenant_id, each.verdict), each.since.timestamp())
    return family


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"workbench_{name}", meaning, value=float(value))


def _moment(name: str, meaning: str, value: datetime | None) -> Iterator[Metric]:
    if value is not None:
        yield _gauge(name, meaning, value.timestamp())


def _labelled(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"workbench_{name}", meaning, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), float(value))
    return family


def _yes(value: bool) -> str:
    return "true" if value else "false"
