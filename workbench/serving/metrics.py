"""What the notebook server tells Prometheus; no figure names a tenant or a person."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge

from workbench import exposition


class Metrics:
    """Counters and gauges of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._sign_ins = Counter(
            "workbench_notebooks_sign_ins_total", "Sign-ins by outcome.", ["outcome"], registry=self.registry
        )
        self._refusals = Counter(
            "workbench_notebooks_refusals_total", "Requests and WebSockets refused.", ["kind"], registry=self.registry
        )
        self._ended = Counter(
            "workbench_notebooks_ended_total", "Sessions ended by the server.", ["why"], registry=self.registry
        )

    def watch_sessions(self, *, kernels: Callable[[], float], connected: Callable[[], float]) -> None:
        """Where to read how many notebooks run, and how many browsers are connected."""
        named = "workbench_notebooks_"
        Gauge(f"{named}sessions", "Notebooks that run.", registry=self.registry).set_function(kernels)
        Gauge(f"{named}connections", "Browsers connected.", registry=self.registry).set_function(connected)

    def signed_in(self, outcome: str) -> None:
        """Count a sign-in: accepted or refused."""
        self._sign_ins.labels(outcome).inc()

    def refused(self, kind: str) -> None:
        """Count a refusal: host, origin, form, request or socket."""
        self._refusals.labels(kind).inc()

    def ended(self, why: str, count: int) -> None:
        """Count sessions that the server ended."""
        self._ended.labels(why).inc(count)


def served(metrics: Metrics, *, host: str, port: int) -> AbstractContextManager[str]:
    """Serve the metrics while the block runs; yields their address. Raises StackError for a port in use."""
    return exposition.served(
        metrics.registry, host=host, port=port, remedy="set another WORKBENCH_NOTEBOOKS_METRICS_PORT"
    )
