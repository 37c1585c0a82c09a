"""Serving a registry of metrics to Prometheus, in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, start_http_server

from pipeline.core.errors import StackError


@contextmanager
def served(registry: CollectorRegistry, *, host: str, port: int, remedy: str) -> Iterator[str]:
    """Serve the metrics while the block runs; yields their address. Port 0 takes a free one.

    Raises StackError with this remedy where the port cannot be listened on.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        message = f"Port {port} of {host} cannot be listened on for the metrics: {error.strerror}."
        raise StackError(message, remedy=f"End what listens there, or {remedy}.") from error
    try:
        name = f"[{host}]" if ":" in host else host
        yield f"http://{name}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
