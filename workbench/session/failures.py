"""The driver's errors as ours, translated once."""

from __future__ import annotations

import re

import adbc_driver_manager as adbc

from pipeline.core.database import without_password
from workbench.session.errors import (
    ConnectionLost,
    NoSuchTable,
    SourceError,
    StatementFailed,
    StatementRefused,
    TooManyConnections,
)
from workbench.session.statement import READABLE

DRIVER_ERRORS = (adbc.Error, OSError)
"""What a call of the driver raises; an OSError where rows were already on their way."""

SYNTAX_ERROR = "42601"
INDETERMINATE_TYPE = "42P18"
UNDEFINED_TABLE = "42P01"
TOO_MANY = ("too many connections", "too many clients", "remaining connection slots")
SAID = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(?P<message>[^\n]*)")


def failed(error: Exception, text: str = "", *, before: int = 0) -> SourceError:
    """What the server said of a statement, with a mark below the place in `text`, which `before` characters precede."""
    details = {key: value for key, value in _details(error).items() if value}
    message = details.get("MESSAGE_PRIMARY") or _said(error)
    state = getattr(error, "sqlstate", None)
    hint = details.get("MESSAGE_HINT")
    if state == SYNTAX_ERROR and "multiple commands" in message:
        return StatementRefused("That is more than one statement.", remedy="Ask them one by one.")
    lines = [f"{message}."] + ([details["MESSAGE_DETAIL"]] if "MESSAGE_DETAIL" in details else [])
    position = details.get("STATEMENT_POSITION")
    if position and 0 <= (place := int(position) - 1 - before) <= len(text):
        lines += _marked(text, place)
    kind = NoSuchTable if state == UNDEFINED_TABLE else StatementFailed
    return kind("\n".join(lines), remedy=hint)


def not_reading(error: Exception) -> SourceError:
    """Why the server refused a statement, valid by itself, as the subquery of ours."""
    return StatementRefused(f"The statement is not one that reads: {_said(error)}.", remedy=READABLE)


def unreachable(error: Exception, url: str) -> SourceError:
    """Why there is no connection."""
    reason = _said(error)
    if any(words in str(error) for words in TOO_MANY):
        return TooManyConnections(
            f"PostgreSQL has no connection left for this login: {reason}.",
            remedy="Close other tools that use the same login, then try again.",
        )
    return ConnectionLost(
        f"PostgreSQL does not answer at {without_password(url)}: {reason}.", remedy="Try again in a moment."
    )


def lost(error: Exception) -> SourceError:
    """The connection broke in the middle."""
    return ConnectionLost(f"The database went away while it answered: {_said(error)}.", remedy="Try again in a moment.")


def _details(error: Exception) -> dict[str, str]:
    found = getattr(error, "details", None) or []
    return {_decoded(key).removeprefix("PG_DIAG_"): _decoded(value) for key, value in found}


def _decoded(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _said(error: Exception) -> str:
    """The server's words, without the driver's around them."""
    text = str(error).strip()
    said = SAID.search(text)
    if said:
        return said["message"].strip().rstrip(".")
    return text.splitlines()[0].removeprefix("IO: ").removeprefix("[libpq] ").rstrip(".") if text else "no reason given"


def _marked(text: str, place: int) -> list[str]:
    """The line of the place, and a mark below it."""
    before, after = text[:place], text[place:]
    start = before.rpartition("\n")[2]
    return [start + after.partition("\n")[0], " " * len(start) + "^"]
