"""Rules that more than one candidate table needs."""

from __future__ import annotations

from checks.rules import Rule, Table, no_rows

# The sample names the columns that are missing and leaves the others out: properties may be large.
MISSING = """
select {key}, concat_ws(', ', {names}) as missing from {{batch}}
where num_nulls({columns}) > 0
"""
NAME = "case when {column} is null then '{column}' end"

# The native expectation counts rightly, but the query that it answers for the rows is a cross join.
REPEATED = """
select {key}, count(*) as times from {{batch}}
group by {key}
having count(*) > 1
"""

OUT_OF_ORDER = """
select {key}, {first}, {last} from {{batch}}
where ({first} <= {last}) is not true
"""

IMPOSSIBLE = """
select {key}, {count}, events from {{batch}}
where ({count} between {least} and events) is not true
"""


def complete(table: Table, *others: str, why: str) -> Rule:
    """No column of the key, nor of the others, is null."""
    columns = (*table.key, *others)
    names = ", ".join(NAME.format(column=column) for column in columns)
    query = MISSING.format(key=_key(table), names=names, columns=", ".join(columns))
    return Rule(name=f"{table.name}_is_complete", severity="stop", why=why, expectation=no_rows(query))


def one_row_per_key(table: Table, *, why: str) -> Rule:
    """No two rows share a key."""
    query = REPEATED.format(key=_key(table))
    return Rule(name=f"{table.name}_has_one_row_per_key", severity="stop", why=why, expectation=no_rows(query))


def in_order(table: Table, first: str, last: str, *, why: str) -> Rule:
    """The last moment is not before the first."""
    query = OUT_OF_ORDER.format(key=_key(table), first=first, last=last)
    return Rule(name=f"{table.name}_is_in_order", severity="stop", why=why, expectation=no_rows(query))


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
    query = IMPOSSIBLE.format(key=_key(table), count=count, least=least)
    return Rule(
        name=f"{table.name}_{count}_is_possible",
        severity="stop",
        why="Each of those counted has an event of its own: some were counted twice, or never were there.",
        expectation=no_rows(query),
    )


def _key(table: Table) -> str:
    return ", ".join(table.key)
