"""What makes embed tokens in a process that serves: composed for the API and for the notebook server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from api.embeds_desk import EmbedsDesk
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings

WAIT_SECONDS = 5.0
OPTIONS = "-c timezone=UTC -c statement_timeout=5s -c idle_in_transaction_session_timeout=30s"


@contextmanager
def embeds_desk(settings: Settings, database: Database) -> Iterator[EmbedsDesk]:
    """With connections of its own to the primary, since the audit log is written before a token is told."""
    from psycopg_pool import ConnectionPool

    from api.embeds_desk import AT_ONCE, EmbedsDesk
    from api.tokens import TokenBroker
    from pipeline.core.database import GIVE_UP_ON_SILENCE, ServiceRole

    pool: ConnectionPool[psycopg.Connection] = ConnectionPool(
        database.url(ServiceRole.API),
        min_size=0,
        max_size=AT_ONCE,
        timeout=WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        kwargs={"application_name": "workbench_embeds", "options": OPTIONS, **GIVE_UP_ON_SILENCE},
        open=False,
    )
    broker = TokenBroker(pool.connection, secret=settings.secret, instance_url=settings.metabase.browser_url)
    with pool:
        yield EmbedsDesk(broker, settings.metabase)
