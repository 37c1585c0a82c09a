"""Two tenants with rows in everything that is published, and their logins.

Every text of a tenant carries its own marker, so that any answer that holds a foreign row, value
or id can be told by looking for the other's marker in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.tenants import add_tenant, tenant_login
from pipeline.promote.marts import Column, Mart, read_cached_views, read_marts
from tests.conftest import DBT_DIR

ROWS = {"acme": 5, "globex": 7}
MARKERS = {"acme": "acme-marker", "globex": "globex-marker"}
FIRST_DAY = datetime(2026, 3, 2, tzinfo=UTC)

FILL_PROGRESS = """
with promotion as (
    insert into control.promotions (bound_xid, as_of, models_fingerprint) values ('9', now(), 'x')
    returning promotion_id, as_of
)
insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
select tenant_id, '9', promotion_id, as_of, 'x' from promotion cross join unnest(%(tenants)s::text[]) as tenant_id
"""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant as an attacker: its login, and what would betray the other one."""

    tenant_id: str
    url: str
    own_rows: int
    foreign: tuple[str, ...]

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        return connect(self.url, autocommit=autocommit, application="tests")


@pytest.fixture
def attackers(database: Database) -> tuple[Tenant, Tenant]:
    """Both tenants, each with rows in every mart, in raw and in the cache."""
    return two_tenants(database)


def two_tenants(database: Database) -> tuple[Tenant, Tenant]:
    """Add both tenants with their rows to a database."""
    for tenant in ROWS:
        add_tenant(database, tenant, display_name=MARKERS[tenant])
    logins = {tenant: tenant_login(database, tenant) for tenant in ROWS}
    fill(database)
    acme, globex = (
        Tenant(
            tenant_id=tenant,
            url=database.login_url(logins[tenant]),
            own_rows=ROWS[tenant],
            foreign=tuple(x for other in ROWS if other != tenant for x in (MARKERS[other], f"'{other}'", other)),
        )
        for tenant in ROWS
    )
    return acme, globex


def fill(database: Database) -> None:
    """Put `ROWS` rows a tenant into every mart as the publisher, and refresh the cache."""
    marts = read_marts(DBT_DIR)
    with database.connect(ServiceRole.PUBLISHER) as connection:
        connection.execute(FILL_PROGRESS, {"tenants": list(ROWS)})
        for mart in marts:
            for tenant, count in ROWS.items():
                for number in range(1 if mart.key == (mart.tenant_column,) else count):
                    insert(connection, mart, tenant, number)
    with database.connect(ServiceRole.PUBLISHER, autocommit=True) as connection:
        for view in read_cached_views(DBT_DIR):
            connection.execute(sql.SQL("refresh materialized view cache.{}").format(sql.Identifier(view.name)))
    # Statistics of real data are what a curious tenant would like to read.
    with database.connect_admin(autocommit=True) as connection:
        connection.execute("analyze")


def insert(connection: psycopg.Connection, mart: Mart, tenant: str, number: int) -> None:
    """One row of a mart, with values of its columns' types."""
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in mart.columns)
    values = [tenant if c.name == mart.tenant_column else value(c, tenant, number) for c in mart.columns]
    places = sql.SQL(", ").join([sql.Placeholder()] * len(values))
    connection.execute(
        sql.SQL("insert into marts.{} ({}) values ({})").format(sql.Identifier(mart.name), columns, places), values
    )


def value(column: Column, tenant: str, number: int) -> Any:
    """A value of the column's type that no other row of the mart has."""
    makers: dict[str, Callable[[], Any]] = {
        "text": lambda: f"{MARKERS[tenant]}-{number}",
        "uuid": lambda: uuid5(NAMESPACE_URL, f"{tenant}{number}"),
        "timestamptz": lambda: FIRST_DAY + timedelta(days=number),
        "timestamp with time zone": lambda: FIRST_DAY + timedelta(days=number),
        "date": lambda: date(2026, 3, 2) + timedelta(days=number),
        "jsonb": lambda: Jsonb({"note": f"{MARKERS[tenant]}-{number}"}),
    }
    return makers.get(column.type.lower(), lambda: number)()


@pytest.fixture
def acme(attackers: tuple[Tenant, Tenant]) -> Tenant:
    return attackers[0]


@pytest.fixture
def session(acme: Tenant) -> Iterator[psycopg.Connection]:
    """An open session of tenant acme's own login, each statement its own transaction."""
    with acme.connect() as connection:
        yield connection
