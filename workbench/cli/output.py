"""What commands print: tables for people, or one JSON document with `--json`; errors on standard error.

Results go to standard output and nothing else does: what a command tells beside its result is a
`note`, on standard error, so that output can be piped.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from pipeline.core.errors import WorkbenchError

WIDTH_OF_FILES = 160
"""Columns where there is no terminal to ask: a table in a log is not folded to 80."""

MOST_COLOURED = 100_000
"""Characters of JSON that are coloured, for a terminal: of many megabytes it would take minutes."""

HIGH_CONTROL_CHARACTERS = re.compile(r"[\x7f-\x9f]")
"""Those that JSON leaves as they are."""
CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

Row = Mapping[str, object]


def _width() -> int | None:
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_FILES


console = Console(width=_width())
errors = Console(stderr=True, width=_width())


def print_json(document: object) -> None:
    """One JSON document on standard output, numbers as they are."""
    written = msgspec.json.format(msgspec.json.encode(document, enc_hook=str)).decode()
    harmless = HIGH_CONTROL_CHARACTERS.sub(lambda match: f"\\u{ord(match[0]):04x}", written)
    if console.is_terminal and len(harmless) <= MOST_COLOURED:
        console.print(JSONHighlighter()(harmless), soft_wrap=True)
    else:
        console.file.write(f"{harmless}\n")


def print_rows(rows: Sequence[Row], *, title: str = "", empty: str = "Nothing to show.") -> None:
    """Rows of the same keys as a table; columns of numbers are set to the right."""
    if not rows:
        console.print(empty)
        return
    values = [list(row.values()) for row in rows]
    numbers = [number for number, column in enumerate(zip(*values, strict=True)) if _is_numeric(column)]
    print_table(list(rows[0]), values, title=title, right=numbers)


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", right: Collection[int] = ()
) -> None:
    """Values as a table; the columns numbered in `right` are set to the right."""
    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(Text(visible(name)), justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(text(value))) for value in row))
    console.print(table)


def say(message: str) -> None:
    """A line of a command's result, as it is: brackets in it are no markup."""
    console.print(Text(visible(message)), soft_wrap=True)


def note(message: str) -> None:
    """Something beside the result, on standard error: a hint, a warning, a step of progress."""
    errors.print(Text(visible(message)), soft_wrap=True)


def print_error(error: WorkbenchError) -> None:
    """An error and its remedy, on standard error."""
    errors.print(Text.assemble(("Error: ", "bold red"), visible(error.message)), soft_wrap=True)
    if error.remedy:
        errors.print(Text.assemble(("Remedy: ", "bold"), visible(error.remedy)), soft_wrap=True)


def count(number: int, noun: str) -> str:
    """So many of something: 1 row, 2 rows."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def text(value: object) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(str(item) for item in value)
    return str(value)


def _is_numeric(column: Sequence[object]) -> bool:
    return {type(value) for value in column} - {type(None)} in ({int}, {float})


def visible(message: str) -> str:
    """The text without control characters: what tenants send must not steer the operator's terminal."""
    return CONTROL_CHARACTERS.sub(lambda match: f"\\x{ord(match[0]):02x}", message)
