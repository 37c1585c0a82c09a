"""One reading statement, run as a tenant's own login role: what `workbench sql` is made of.

Isolation is the database's work, not this module's. This module bounds what one statement may cost,
and refuses what would tell of other tenants' volumes: EXPLAIN shows them even under row security.

The statement becomes the query of a server-side cursor. That grammar accepts a single SELECT, WITH,
VALUES or TABLE, so the server itself refuses EXPLAIN, DO, PREPARE, EXECUTE, SET, COPY and anything
else that could wrap an EXPLAIN, however it is spelt; the extended protocol refuses a second
statement; and only as many rows as wanted ever leave the server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import psycopg
from psycopg import sql

from pipeline.core.database import connect
from pipeline.core.errors import DatabaseUnavailable, WorkbenchError

DECLARE = "declare answer no scroll cursor without hold for "
FETCH = sql.SQL("fetch forward {} from answer")
SET_TIMEOUT = sql.SQL("set local statement_timeout = {}")

COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
READABLE = "Ask with one SELECT, WITH, VALUES or TABLE statement."


class QueryError(WorkbenchError):
    """The statement is refused or failed."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column's name, which others may bear too, and the name of its type ("" for an array or an unusual one)."""

    name: str
    type: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement answers: values as PostgreSQL writes them, None for null.

    No value is converted: PostgreSQL knows some that Python does not, such as an infinite date.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str | None]]
    truncated: bool
    """There are more rows than were asked for."""


def ask(url: str, statement: str, *, most_rows: int, timeout_seconds: float) -> Answer:
    """Run one statement at a tenant's login URL, read-only, and answer up to `most_rows` rows.

    Raises QueryError with the server's own words, or DatabaseUnavailable.
    """
    try:
        statement.encode()
    except UnicodeEncodeError as error:
        raise QueryError("The statement is not text in UTF-8.") from error
    with connect(url, application="workbench_sql") as connection:
        connection.read_only = True
        try:
            connection.execute(SET_TIMEOUT.format(sql.Literal(int(timeout_seconds * 1000))))
            return _fetch(connection, statement, most_rows)
        except psycopg.Error as error:
            if connection.broken:
                raise DatabaseUnavailable("The database went away while it answered.") from error
            raise _translated(error, statement, timeout_seconds) from error


def _fetch(connection: psycopg.Connection, statement: str, most_rows: int) -> Answer:
    # Prepared, hence in the extended protocol, which takes one command at a time.
    connection.execute((DECLARE + statement).encode(), prepare=True)
    cursor = connection.execute(FETCH.format(sql.Literal(most_rows + 1)))
    result = cursor.pgresult
    if result is None:
        raise QueryError("The statement has no answer.")
    rows = [
        [_text(result.get_value(row, column)) for column in range(result.nfields)]
        for row in range(min(result.ntuples, most_rows))
    ]
    columns = [_column(connection, description) for description in cursor.description or ()]
    return Answer(columns=columns, rows=rows, truncated=result.ntuples > most_rows)


def _column(connection: psycopg.Connection, described: psycopg.Column) -> Column:
    known = connection.adapters.types.get(described.type_code)
    # For an array, too, the registry finds the type of its elements.
    return Column(name=described.name, type=known.name if known and known.oid == described.type_code else "")


def _text(value: bytes | None) -> str | None:
    return None if value is None else bytes(value).decode()


def _translated(error: psycopg.Error, statement: str, timeout_seconds: float) -> QueryError:
    said = error.diag.message_primary or str(error).strip()
    if isinstance(error, psycopg.errors.QueryCanceled):
        return QueryError(
            f"The statement was ended after {timeout_seconds:g} seconds.",
            remedy="Ask for less, or allow more time with --timeout.",
        )
    if not isinstance(error, psycopg.errors.SyntaxError):
        return QueryError(_with_place(error, said, statement), remedy=error.diag.message_hint)
    if "multiple commands" in said:
        return QueryError("That is more than one statement.", remedy=READABLE)
    return _syntax_error(error, said, statement)


def _syntax_error(error: psycopg.Error, said: str, statement: str) -> QueryError:
    """A statement that does not begin as one that reads was refused for its kind, not for its spelling."""
    place = _place(error)
    before = None if place is None else COMMENT.sub(" ", statement[:place]).strip("( \t\r\n")
    word = re.match(r"\w+", statement[place:]) if before == "" else None
    if word is None:
        return QueryError(_with_place(error, said, statement), remedy=error.diag.message_hint)
    if word[0].lower() == "explain":
        return QueryError("EXPLAIN is refused: its estimates and counts tell of other tenants' rows.", remedy=READABLE)
    return QueryError(f"{word[0].upper()} is not a statement that can be asked here.", remedy=READABLE)


def _with_place(error: psycopg.Error, said: str, statement: str) -> str:
    """The message, its detail, and the line it is about with a mark below the place."""
    lines = [f"{said}."] + ([error.diag.message_detail] if error.diag.message_detail else [])
    place = _place(error)
    if place is not None:
        before, after = statement[:place], statement[place:]
        start = before.rpartition("\n")[2]
        lines += [start + after.partition("\n")[0], " " * len(start) + "^"]
    return "\n".join(lines)


def _place(error: psycopg.Error) -> int | None:
    """Where in the statement the error is, as an index; None if the server does not say."""
    position = error.diag.statement_position
    place = int(position) - 1 - len(DECLARE) if position else -1
    return place if place >= 0 else None
