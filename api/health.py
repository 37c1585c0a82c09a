"""For those who run the process: does it live, can it take events, what does it measure."""

from __future__ import annotations

import asyncio
import logging

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from api.metrics import Metrics
from api.refusals import Refusal, json_response
from pipeline.core.errors import WorkbenchError
from pipeline.stream.port import Publisher

CHECK_SECONDS = 5.0

log = logging.getLogger(__name__)


def health_routes(publisher: Publisher, metrics: Metrics) -> APIRouter:
    """GET /healthz, /readyz and /metrics."""
    router = APIRouter(tags=["operation"])

    @router.get("/healthz", response_model=None, summary="The process lives")
    async def healthz() -> Response:
        return json_response({"status": "alive"})

    @router.get("/readyz", response_model=None, summary="Events can be published now")
    async def readyz() -> Response:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                readiness = await publisher.check()
        except TimeoutError as error:
            raise Refusal(503, "not_ready", f"No answer within {CHECK_SECONDS:g} seconds.") from error
        except WorkbenchError as error:
            # Anybody may ask: the details, which name hosts and files, are for the log.
            log.warning("not ready: %s", error)
            raise Refusal(503, "not_ready", (type(error).__doc__ or "").strip()) from error
        if readiness.warning is not None:
            log.warning("ready, but: %s", readiness.warning)
        return json_response({"status": "ready", "durable_by": readiness.durable_by})

    @router.get("/metrics", response_model=None, summary="Measurements in Prometheus' text format")
    async def read_metrics() -> Response:
        return Response(metrics.expose(), media_type=CONTENT_TYPE_LATEST)

    return router
