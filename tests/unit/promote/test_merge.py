"""The statements that a mart's declaration leads to."""

from __future__ import annotations

import dataclasses
import re

from psycopg import sql

from pipeline.promote.marts import Column, Mart, Strategy
from pipeline.promote.merge import merge_statements

MERGED = Mart(
    name="totals",
    description="Totals. One row per tenant and day.",
    columns=tuple(
        Column(name=name, type=kind, description="")
        for name, kind in (("tenant_id", "text"), ("day", "date"), ("events", "bigint"), ("users", "bigint"))
    ),
    key=("tenant_id", "day"),
    tenant_column="tenant_id",
    grain="one row per tenant and day",
    strategy=Strategy.MERGE,
    indexes=(),
)
APPENDED = dataclasses.replace(MERGED, strategy=Strategy.APPEND)
ONLY_KEY = dataclasses.replace(MERGED, columns=MERGED.columns[:2])


def text(statement: sql.Composed) -> str:
    return re.sub(r"\s+", " ", statement.as_string(None))


def test_a_merged_mart_updates_what_is_not_its_key_and_only_where_it_differs() -> None:
    statement = text(merge_statements(MERGED).continuation)
    assert statement.startswith('insert into "marts"."totals" as m ("tenant_id", "day", "events", "users") select')
    assert statement.endswith(
        'on conflict ("tenant_id", "day") do update set ("events", "users") = '
        'row("excluded"."events", "excluded"."users") '
        'where ("m"."events", "m"."users") is distinct from ("excluded"."events", "excluded"."users")'
    )


def test_an_appended_mart_meets_no_conflict_unless_its_tenant_is_refreshed() -> None:
    statements = merge_statements(APPENDED)
    assert "on conflict" not in text(statements.continuation)
    assert statements.replacement == merge_statements(MERGED).replacement


def test_a_mart_of_nothing_but_its_key_has_nothing_to_update() -> None:
    assert text(merge_statements(ONLY_KEY).continuation).endswith('on conflict ("tenant_id", "day") do nothing')


def test_every_statement_touches_passed_tenants_of_one_kind_alone() -> None:
    tenants = (
        '"tenant_id" in ( select t.tenant_id from control.promotion_tenants as t '
        "where t.promotion_id = %(promotion)s and t.verdict in ('passed', 'released') and "
    )
    for mart in (MERGED, APPENDED, ONLY_KEY):
        statements = merge_statements(mart)
        assert f"{tenants}not t.full_refresh )" in text(statements.continuation)
        assert f"{tenants}t.full_refresh )" in text(statements.deletion)
        assert f"{tenants}t.full_refresh )" in text(statements.replacement)
