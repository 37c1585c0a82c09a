"""One promotion at a time: an advisory lock of the session that also publishes.

Whoever loses the session loses the lock, and with it the means to publish. The server lets go of a
killed process within seconds, in the middle of a statement too, and of a vanished machine within a minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from pipeline.core.errors import PromotionRunning
from pipeline.promote import ledger
from pipeline.promote.steps import Tell

LOCK = 0x50524F4D4F5445  # "PROMOTE" in ASCII; advisory locks are per database
SECONDS_BETWEEN_TRIES = 0.2

NOTICE_OUR_END = """
set client_connection_check_interval = '2s';
set tcp_keepalives_idle = 30;
set tcp_keepalives_interval = 10;
set tcp_keepalives_count = 3;
"""
TRY = "select pg_try_advisory_lock(%s)"
LET_GO = "select pg_advisory_unlock(%s)"


@contextmanager
def promotion_lock(connection: psycopg.Connection, *, wait_seconds: float, tell: Tell) -> Iterator[None]:
    """Hold the lock on this autocommit connection; `tell` hears of it if that means to wait.

    Raises PromotionRunning, naming the running promotion, if it is not free within `wait_seconds`.
    """
    connection.execute(NOTICE_OUR_END)
    if not _try(connection):
        tell(f"{ledger.describe_running(connection)} is running; waiting for it")
        _wait(connection, time.monotonic() + wait_seconds)
    try:
        yield
    finally:
        # Closing the connection lets go as well, but a moment later.
        with suppress(psycopg.OperationalError):
            connection.execute(LET_GO, (LOCK,))


def _wait(connection: psycopg.Connection, deadline: float) -> None:
    while time.monotonic() < deadline:
        time.sleep(SECONDS_BETWEEN_TRIES)
        if _try(connection):
            return
    raise PromotionRunning(
        f"{ledger.describe_running(connection)} is running.", remedy="Wait for it to end, then try again."
    )


def _try(connection: psycopg.Connection) -> bool:
    row = connection.execute(TRY, (LOCK,)).fetchone()
    return row is not None and bool(row[0])
