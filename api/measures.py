"""GET /v1/metrics and /v1/metrics/{name}: the figures of the key's tenant, as dashboards and notebooks show them.

Counting happens in threads of its own, a few at a time and fewer for one tenant, so that neither events nor other
tenants wait for it. What a client has already, told by its ETag, is not counted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.authentication import Authenticator
from api.measures_openapi import catalogue_operation, measure_operation
from api.question import Asked, asked_of, completed, etag_of, next_cursor, part_of
from api.refusals import Refusal, json_response
from api.turns import Turns
from pipeline.core.clock import Clock
from pipeline.core.errors import DatabaseUnavailable, MetricError, MetricTooSlow, TenantError
from pipeline.core.metrics.catalog import Column, Metric, read_metrics
from pipeline.core.metrics.reading import Figures, Part, Publication, Reading, Want

AT_ONCE = 4
"""Questions that are counted at the same time, half of them of one tenant: connections to have for them."""
WAITING = 64
OF_ONE_TENANT = 16
"""Questions that are counted or wait for it."""

FRESH = {"Cache-Control": "private, max-age=0, must-revalidate", "Vary": "Authorization"}


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of the catalogue; without being asked it has its first granularity and dimension."""

    name: str
    title: str
    description: str
    unit: str
    granularities: Sequence[str]
    dimensions: Sequence[str]
    columns: Sequence[Column]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """All metrics, by name."""

    metrics: Sequence[Described]


class Measure(msgspec.Struct, frozen=True, kw_only=True, rename={"from_day": "from", "to_day": "to"}):
    """Rows of a metric, with all that they depend on."""

    metric: str
    from_day: date
    to_day: date
    granularity: str
    dimension: str
    promotion_id: int | None
    as_of: datetime | None
    held: bool
    rows: Sequence[dict[str, Any]]
    next_cursor: str | None


class Measures:
    """The endpoints, with everything that they work with."""

    def __init__(self, *, figures: Figures, authenticator: Authenticator, clock: Clock) -> None:
        self._figures = figures
        self._authenticator = authenticator
        self._metrics: Mapping[str, Metric] = {metric.name: metric for metric in read_metrics()}
        self._clock = clock
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="figures")
        self._turns = Turns(at_once=AT_ONCE // 2, of_one=OF_ONE_TENANT, of_all=WAITING)

    @property
    def paths(self) -> frozenset[str]:
        """All paths that are answered."""
        return frozenset({"/v1/metrics", *(f"/v1/metrics/{name}" for name in self._metrics)})

    def routes(self) -> APIRouter:
        """GET /v1/metrics and /v1/metrics/{name}."""
        router = APIRouter(tags=["metrics"])
        add: dict[str, Any] = {"methods": ["GET"], "response_model": None}
        router.add_api_route("/v1/metrics", self.get_catalogue, **add, **catalogue_operation())
        router.add_api_route("/v1/metrics/{name}", self.get_measure, **add, **measure_operation(read_metrics()))
        return router

    async def get_catalogue(self, request: Request) -> Response:
        """All metrics. Raises Refusal."""
        await self._authenticator.authorize(request, "read")
        return json_response(
            Catalogue(metrics=[_described(metric) for metric in self._metrics.values()]), headers=FRESH
        )

    async def get_measure(self, request: Request) -> Response:
        """Figures of one metric, or 304 where the client has them. Raises Refusal."""
        grant = await self._authenticator.authorize(request, "read")
        asked = asked_of(self._metric(request.path_params["name"]), request.query_params)
        presented = _entity_tags(request)
        wanted = _Wanted(asked, tenant_id=grant.tenant_id, today=self._clock().date(), presented=presented)
        reading = await self._read(grant.tenant_id, wanted)
        assert wanted.part is not None
        headers = FRESH | {"ETag": wanted.etag}
        if reading.rows is None:
            return Response(status_code=304, headers=headers)
        return json_response(_measure(wanted.part, reading), headers=headers)

    def _metric(self, name: str) -> Metric:
        if name not in self._metrics:
            raise Refusal(404, "unknown_metric", "There is no such metric.", details={"metrics": [*self._metrics]})
        return self._metrics[name]

    async def _read(self, tenant_id: str, want: Want) -> Reading:
        loop = asyncio.get_running_loop()
        try:
            async with self._turns.take(tenant_id):
                return await loop.run_in_executor(self._threads, self._figures.read, tenant_id, want)
        except DatabaseUnavailable as error:
            raise Refusal(503, "unavailable", "Figures cannot be read now.") from error
        except TenantError as error:
            raise Refusal(403, "tenant_suspended", "The tenant of this key is suspended.") from error
        except MetricTooSlow as error:
            raise Refusal(504, "took_too_long", str(error)) from error
        except MetricError as error:
            raise Refusal(400, "invalid_parameter", error.message) from error


class _Wanted:
    """Decides, in the reading's transaction, whether the client has the answer already; remembers what it is."""

    def __init__(self, asked: Asked, *, tenant_id: str, today: date, presented: frozenset[str]) -> None:
        self._asked = asked
        self._tenant_id = tenant_id
        self._today = today
        self._presented = presented
        self.part: Part | None = None
        self.etag = ""

    def __call__(self, publication: Publication) -> Part | None:
        question = completed(self._asked, publication, self._today)
        self.part = part_of(self._asked, question, publication)
        self.etag = etag_of(self._tenant_id, self.part, publication)
        return None if self._presented & {self.etag, "*"} else self.part


def _described(metric: Metric) -> Described:
    described = metric.described
    return Described(
        name=metric.name,
        title=described.title,
        description=described.description,
        unit=described.unit,
        granularities=described.granularities,
        dimensions=described.dimensions,
        columns=described.columns,
    )


def _measure(part: Part, reading: Reading) -> Measure:
    question, publication = part.question, reading.publication
    return Measure(
        metric=question.metric.name,
        from_day=question.from_day,
        to_day=question.to_day,
        granularity=question.granularity,
        dimension=question.dimension,
        promotion_id=publication.promotion_id,
        as_of=publication.as_of,
        held=publication.held,
        rows=reading.rows or (),
        next_cursor=next_cursor(part, publication) if reading.more else None,
    )


def _entity_tags(request: Request) -> frozenset[str]:
    """What If-None-Match names; weak tags count as strong ones, as for every GET."""
    given = ",".join(request.headers.getlist("if-none-match"))
    return frozenset(tag.strip().removeprefix("W/") for tag in given.split(",") if tag.strip())
