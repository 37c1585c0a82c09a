"""A statement asked on a connection: its answer in batches of plain Arrow, no larger than allowed.

Without parameters by COPY, with them through a cursor. Errors of the driver end here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import polars
import pyarrow as pa

from workbench.session.columns import Column, columns_of, empty, parameter_types, plain, selection
from workbench.session.connection import Connection
from workbench.session.errors import SourceError, StatementRefused, TooManyRows
from workbench.session.failures import DRIVER_ERRORS, INDETERMINATE_TYPE, SYNTAX_ERROR, failed, lost, not_reading
from workbench.session.reading import Reading
from workbench.session.statement import READABLE, Statement
from workbench.session.values import bound

ASK = "select {asked} from (\n{text}\n) as answer ({names})"
AT_MOST = " limit {:d}"

MOST_BYTES = 2 * 1024**3


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that the server understands, as it is going to be run."""

    text: str
    values: pa.RecordBatch | None
    columns: Sequence[Column]


def ask(
    connection: Connection,
    statement: Statement,
    reading: Reading,
    *,
    most_rows: int | None = None,
    most_bytes: int = MOST_BYTES,
) -> polars.DataFrame:
    """The whole answer as a frame.

    Raises TooManyRows, with the first rows, for an answer beyond the limits; another SourceError for a
    statement that is refused, fails, or loses its connection.
    """
    question = understand(connection, statement, most_rows=most_rows)
    batches: list[pa.RecordBatch] = []
    for batch in answer(connection, question, reading):
        batches.append(batch)
        if reading.progress.bytes > most_bytes:
            connection.cancel()
            raise _too_many(batches, f"more than {most_bytes / 1024**2:,.0f} MB")
    if most_rows is not None and reading.progress.rows > most_rows:
        raise _too_many(batches, f"more than {most_rows:,} rows", most_rows)
    return frame(batches)


def understand(connection: Connection, statement: Statement, *, most_rows: int | None = None) -> Question:
    """Have the server read a statement, without running it. Raises SourceError."""
    with_values = bool(statement.places)
    schema, types = _described(connection, statement)
    columns = columns_of(schema)
    if not columns:
        raise StatementRefused("The statement answers no columns.", remedy=READABLE)
    asked, names = selection(columns)
    text = ASK.format(asked=asked, text=statement.with_casts(types), names=names)
    return Question(
        text=text if most_rows is None else text + AT_MOST.format(most_rows + 1),
        values=bound(statement.values, types) if with_values else None,
        columns=columns,
    )


def answer(connection: Connection, question: Question, reading: Reading) -> Iterator[pa.RecordBatch]:
    """The answer's batches, at least one, which may be empty. Raises SourceError."""
    text, values = question.text, question.values
    found = False
    try:
        for batch in connection.copy(text) if values is None else connection.fetch(text, values):
            converted = plain(batch, question.columns)
            found = True
            reading.count(converted)
            yield converted
        if not found:
            yield empty(connection.describe(text), question.columns)
    except DRIVER_ERRORS as error:
        raise _explained(connection, error) from error


def frame(batches: Sequence[pa.RecordBatch]) -> polars.DataFrame:
    """The batches as one frame, without copying them."""
    return polars.DataFrame(pa.Table.from_batches(batches))


def _described(connection: Connection, statement: Statement) -> tuple[pa.Schema, list[str | None]]:
    """As it was typed, so that the server's complaints name the right places; this runs nothing."""
    try:
        types = _types_asked_for(connection, statement)
        # Where the server has no opinion about a type, the place is a text, and has to be written as one.
        as_typed = statement.text if all(types) else statement.with_casts(types)
        return connection.describe(as_typed), types
    except DRIVER_ERRORS as error:
        if not connection.roll_back():
            raise lost(error) from error
        raise failed(error, statement.text) from error


def _types_asked_for(connection: Connection, statement: Statement) -> list[str | None]:
    """What the server wants at each place; a text wherever it cannot tell for one of them."""
    if not statement.places:
        return []
    try:
        return parameter_types(connection.parameters(statement.text))
    except DRIVER_ERRORS as error:
        if getattr(error, "sqlstate", None) != INDETERMINATE_TYPE:
            raise
    connection.begin_again()
    return [None] * len(statement.values)


def _explained(connection: Connection, error: Exception) -> SourceError:
    """Why a statement failed that the server understood by itself."""
    if not connection.roll_back():
        return lost(error)
    return not_reading(error) if getattr(error, "sqlstate", None) == SYNTAX_ERROR else failed(error)


def _too_many(batches: Sequence[pa.RecordBatch], what: str, most_rows: int | None = None) -> TooManyRows:
    return TooManyRows(
        f"The answer has {what}.",
        remedy="Ask for fewer rows or columns, group them, or read the whole table with table().",
        first=frame(batches).head(most_rows) if most_rows is not None else frame(batches),
    )
