"""What went wrong in a promotion, as people read it: which promotion, in which step, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from pipeline.core.errors import DatabaseUnavailable, PromotionError, WorkbenchError

NOTHING_CHANGED = (
    "Readers keep the last published marts, and what was pending stays pending: remove the cause, then promote again."
)
MIGRATE = "The marts are not those of these models: run `workbench db migrate`, then promote again."
REBUILD = "The marts disagree with the ledger: `workbench promote --full-refresh` brings them back to the raw data."
AGAIN = "Nothing was changed. Somebody else works on the same rows: try again."
LOOK = "`workbench status` tells whether it was published; if not, what was pending stays pending."


def explain(error: Exception, *, promotion_id: int, step: str, connected: bool) -> WorkbenchError:
    """The error to raise for whatever a step raised; retryable if the database went away."""
    message = f"Promotion {promotion_id} failed in the step {step!r}: {_told(error)}"
    if not connected:
        return DatabaseUnavailable(message, remedy=LOOK)
    return PromotionError(message, remedy=_remedy(error))


@contextmanager
def telling_refusals(connection: psycopg.Connection) -> Iterator[None]:
    """Tell what the database refused from a database that is gone: both raise the same kinds of errors."""
    try:
        yield
    except psycopg.OperationalError as error:
        with suppress(psycopg.OperationalError):
            connection.execute("select")
        if connection.broken:
            raise
        raise PromotionError(f"The database refused: {_told(error)}.", remedy=AGAIN) from error


def lost_database(error: psycopg.OperationalError) -> DatabaseUnavailable:
    """The error to raise if the database went away outside of any step."""
    return DatabaseUnavailable(f"The database went away during a promotion: {_told(error)}", remedy=LOOK)


def _told(error: Exception) -> str:
    if isinstance(error, WorkbenchError):
        return error.message
    if isinstance(error, psycopg.Error):
        details = (error.diag.message_primary, error.diag.message_detail)
        return " ".join(detail for detail in details if detail) or str(error)
    return f"{type(error).__name__}: {error}"


def _remedy(error: Exception) -> str:
    if isinstance(error, WorkbenchError) and error.remedy:
        return error.remedy
    if isinstance(error, (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable)):
        return MIGRATE
    if isinstance(error, psycopg.errors.UniqueViolation):
        return REBUILD
    return NOTHING_CHANGED
