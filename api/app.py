"""The application, put together from what it is given.

Nothing here reads settings, opens a connection or runs at import: the command line does the first
two, `server.py` serves the result.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from uuid_utils.compat import uuid7

from api.authentication import Authenticator
from api.budget import MemoryBudget
from api.embeds import PATHS, Embeds
from api.embeds_desk import EmbedsDesk
from api.health import health_routes
from api.intake import Intake
from api.measures import Measures
from api.metrics import Metrics
from api.middleware import ClosesUnread, Measured
from api.openapi import DocumentedApi, ingest_operation
from api.refusals import HANDLERS
from pipeline.core.clock import Clock, utc_now
from pipeline.core.keys import KeyVerifier
from pipeline.core.metrics.reading import Figures
from pipeline.core.settings import IngestLimits
from pipeline.stream.port import Publisher

ROUTES = frozenset({"/v1/events", "/healthz", "/readyz", "/metrics", "/openapi.json"})
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
TELEMETRY: TelemetryConfig = {
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "exclude": lambda scope: scope.get("path") in UNTRACED,
}
"""A span for each request, where the process exports any: see `pipeline.core.tracing`."""
HELD_BODY_BYTES = 268_435_456
BODY_SECONDS = 60.0


def create_app(
    *,
    publisher: Publisher,
    keys: KeyVerifier,
    figures: Figures | None = None,
    embeds: EmbedsDesk | None = None,
    limits: IngestLimits | None = None,
    metrics: Metrics | None = None,
    clock: Clock = utc_now,
    new_id: Callable[[], UUID] = uuid7,
    held_body_bytes: int = HELD_BODY_BYTES,
    body_seconds: float = BODY_SECONDS,
) -> FastAPI:
    """The front door, which opens the publisher with its server and closes it after the last answer.

    Without `figures` it takes events and answers no metrics, without `embeds` it embeds nothing.

    `held_body_bytes` bounds the bodies of all requests that are not answered yet; beyond it the
    answer is 503. `body_seconds` is what a client has to send its body.
    """
    limits = limits or IngestLimits()
    metrics = metrics or Metrics()
    authenticator = Authenticator(keys)
    intake = Intake(
        publisher=publisher,
        authenticator=authenticator,
        limits=limits,
        clock=clock,
        new_id=new_id,
        metrics=metrics,
        budget=MemoryBudget(held_body_bytes),
        body_seconds=body_seconds,
    )

    app = DocumentedApi(
        title="Analytics workbench",
        lifespan=_with(publisher),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=HANDLERS,
        telemetry=TELEMETRY,
    )
    app.add_middleware(ClosesUnread)
    measures = Measures(figures=figures, authenticator=authenticator, clock=clock) if figures is not None else None
    app.add_middleware(Measured, metrics=metrics, routes=ROUTES | PATHS | (measures.paths if measures else set()))
    app.add_api_route(
        "/v1/events",
        intake.post_events,
        methods=["POST"],
        response_model=None,
        tags=["events"],
        **ingest_operation(limits),
    )
    if measures is not None:
        app.include_router(measures.routes())
    if embeds is not None:
        app.include_router(Embeds(desk=embeds, authenticator=authenticator).routes())
    app.include_router(health_routes(publisher, metrics))
    return app


def _with(publisher: Publisher) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
        await publisher.open()
        yield
        await publisher.close()

    return lifespan
