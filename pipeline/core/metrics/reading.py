"""Asking metrics as the API does: for one tenant, all of one moment, with a token that lives as long as the call.

The tenant is the caller's word, which has verified a key: nothing here does. Rows come as the function sorts them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from pipeline.core.errors import DatabaseUnavailable, MetricError, MetricTooSlow, TenantError
from pipeline.core.metrics.catalog import Metric
from pipeline.core.metrics.functions import SCHEMA

TOKEN_SECONDS = 60
"""More than a call may take."""

ISSUE = "select control.issue_tenant_token(%s, %s)"
FRESHNESS = "select promotion_id, as_of, held from metrics.freshness(%s)"
FIGURES = sql.SQL("""
select {columns}
from {function}(%(token)s, %(from_day)s, %(to_day)s, %(granularity)s, %(dimension)s)
with ordinality as figures ({columns}, place)
order by place
limit %(limit)s offset %(offset)s
""")


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the figures are: the tenant's last promotion (None before the first), and whether newer data is held."""

    promotion_id: int | None = None
    as_of: datetime | None = None
    held: bool = False


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A metric and all of its arguments; `to_day` is the first day that does not belong to the range."""

    metric: Metric
    from_day: date
    to_day: date
    granularity: str
    dimension: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What of a question's rows is asked for: `limit` of them, after the first `offset`."""

    question: Question
    limit: int
    offset: int = 0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: rows by column, None if none were wanted, and whether there are more."""

    publication: Publication
    rows: Sequence[dict[str, Any]] | None
    more: bool = False


Want = Callable[[Publication], Part | None]
"""Decides what to ask once the publication is known; None where that is enough."""


class Figures(Protocol):
    """Answers the questions of tenants."""

    def read(self, tenant_id: str, want: Want) -> Reading:
        """The publication, and of the same moment what `want` asks for.

        Raises DatabaseUnavailable, MetricTooSlow, TenantError if the tenant is suspended or unknown, MetricError
        if it is no question of the metric's, and what `want` raises.
        """
        ...


class PublishedFigures:
    """The figures of a database, through connections of the API role. Safe to call from several threads."""

    def __init__(self, pool: ConnectionPool[psycopg.Connection]) -> None:
        self._pool = pool

    def read(self, tenant_id: str, want: Want) -> Reading:
        """See Figures."""
        try:
            with self._pool.connection() as connection:
                token = issue_token(connection, tenant_id, seconds=TOKEN_SECONDS)
                publication = read_publication(connection, token)
                part = want(publication)
                if part is None:
                    return Reading(publication=publication, rows=None)
                rows = _rows(connection, token, part)
        except psycopg.errors.InvalidAuthorizationSpecification as error:
            raise TenantError(f"Tenant {tenant_id} was suspended meanwhile.") from error
        except psycopg.errors.QueryCanceled as error:
            raise MetricTooSlow(remedy="Ask for a shorter time.") from error
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise DatabaseUnavailable("Figures cannot be read now: the database does not answer.") from error
        return Reading(publication=publication, rows=rows[: part.limit], more=len(rows) > part.limit)


def only_reading(connection: psycopg.Connection) -> None:
    """Make every transaction of a connection see one moment, and write nothing; for a pool's `configure`."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True


def issue_token(connection: psycopg.Connection, tenant_id: str, *, seconds: int) -> str:
    """A token of the tenant, as the API role. Raises TenantError if the tenant is unknown or suspended."""
    try:
        row = connection.execute(ISSUE, (tenant_id, seconds)).fetchone()
    except psycopg.errors.InvalidAuthorizationSpecification as error:
        raise TenantError(f"Tenant {tenant_id} is suspended.") from error
    except psycopg.errors.NoDataFound as error:
        raise TenantError(f"There is no tenant {tenant_id!r}.") from error
    assert row is not None
    return str(row[0])


def read_publication(connection: psycopg.Connection, token: str) -> Publication:
    """Of what the figures of a token's tenant are, in this transaction; as the API role."""
    found = connection.cursor(row_factory=class_row(Publication)).execute(FRESHNESS, (token,)).fetchone()
    return found or Publication()


def _rows(connection: psycopg.Connection, token: str, part: Part) -> list[dict[str, Any]]:
    """One row more than asked for, if there is one."""
    question = part.question
    query = FIGURES.format(
        columns=sql.SQL(", ").join(sql.Identifier(column.name) for column in question.metric.columns),
        function=sql.Identifier(SCHEMA, question.metric.name),
    )
    values = {
        "token": token,
        "from_day": question.from_day,
        "to_day": question.to_day,
        "granularity": question.granularity,
        "dimension": question.dimension,
        "limit": part.limit + 1,
        "offset": part.offset,
    }
    try:
        return connection.cursor(row_factory=dict_row).execute(query, values).fetchall()
    except psycopg.errors.InvalidParameterValue as error:
        raise MetricError(error.diag.message_primary) from error
