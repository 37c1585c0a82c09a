"""Rules that more than one candidate table needs."""

from __future__ import annotations

from checks.rules import Rule, Table, no_rows_where

# The sample names the columns that are missing and leaves the others out: properties may be large.
NAMES_OF_MISSING = "concat_ws(', ', {names}) as missing"
NAME = "case when {column} is null then '{column}' end"


def complete(table: Table, *others: str, why: str) -> Rule:
    """No column of the key, nor of the others, is null."""
    columns = (*table.key, *others)
    missing = NAMES_OF_MISSING.format(names=", ".join(NAME.format(column=column) for column in columns))
    return Rule(
        name=f"{table.name}_is_complete",
        severity="stop",
        why=why,
        expectation=no_rows_where(f"num_nulls({', '.join(columns)}) > 0", show=[missing]),
    )


def one_row_per_key(table: Table, *, why: str) -> Rule:
    """No two rows share a key."""
    return Rule(
        name=f"{table.name}_has_one_row_per_key",
        severity="stop",
        why=why,
        expectation=lambda gx: gx.ExpectOneRowPerKey(columns=list(table.key)),
    )


def in_order(table: Table, first: str, last: str, *, why: str) -> Rule:
    """The last moment is not before the first."""
    return Rule(
        name=f"{table.name}_is_in_order",
        severity="stop",
        why=why,
        expectation=no_rows_where(f"({first} <= {last}) is not true", show=[first, last]),
    )


def has_events(table: Table) -> Rule:
    """Every row stands on one event at least."""
    return Rule(
        name=f"{table.name}_has_events",
        severity="stop",
        why="Everything that is counted stands on events; what has none was never there.",
        expectation=lambda gx: gx.ExpectColumnValuesToBeBetween(column="events", min_value=1),
    )


def possible_count(table: Table, count: str, *, least: int = 0) -> Rule:
    """A count of distinct things, each of which has an event: not below `least`, not above the events."""
    return Rule(
        name=f"{table.name}_{count}_is_possible",
        severity="stop",
        why="Each of those counted has an event of its own: some were counted twice, or never were there.",
        expectation=no_rows_where(f"({count} between {least} and events) is not true", show=[count, "events"]),
    )
