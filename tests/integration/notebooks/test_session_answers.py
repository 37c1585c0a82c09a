"""What `Workbench.sql` answers: every type of PostgreSQL, bound values, and answers that are too large."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl
import pytest

from tests.integration.notebooks.session_world import ROWS, SessionWorld, new_session_world
from workbench.session import NoSuchTable, Reading, StatementFailed, TooManyRows, Workbench, asking
from workbench.session.pool import Pool
from workbench.session.statement import read_statement

ID = UUID("11111111-2222-3333-4444-555555555555")


@pytest.fixture(scope="module")
def world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    with new_session_world(cluster, template, tmp_path_factory.mktemp("extracts") / "mine") as world:
        yield world


@pytest.fixture(scope="module")
def wb(world: SessionWorld) -> Iterator[Workbench]:
    with world.open("acme") as wb:
        yield wb


LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - a timestamp without zone
VALUES: dict[str, tuple[pl.DataType | type[pl.DataType], Any]] = {
    "7::smallint": (pl.Int16, 7),
    "7::integer": (pl.Int32, 7),
    "7::bigint": (pl.Int64, 7),
    "4000000000::oid": (pl.Int64, 4_000_000_000),
    "1.5::real": (pl.Float32, 1.5),
    "1.5::double precision": (pl.Float64, 1.5),
    "12345.67::numeric": (pl.Float64, 12345.67),
    "(7::bigint + 5)::numeric": (pl.Float64, 12.0),
    "'-Infinity'::numeric": (pl.Float64, -math.inf),
    "null::numeric": (pl.Float64, None),
    "true": (pl.Boolean, True),
    "'é'::text": (pl.String, "é"),
    "'a'::varchar(3)": (pl.String, "a"),
    "'a'": (pl.String, "a"),
    "null": (pl.String, None),
    "'\\x00ff'::bytea": (pl.Binary, b"\x00\xff"),
    f"'{ID}'::uuid": (pl.String, str(ID)),
    "null::uuid": (pl.String, None),
    "'{\"a\": [1, null]}'::jsonb": (pl.String, '{"a": [1, null]}'),
    "'[1]'::json": (pl.String, "[1]"),
    "date '2026-03-01'": (pl.Date, date(2026, 3, 1)),
    "date 'infinity'": (pl.Date, date.max),
    "date '-infinity'": (pl.Date, date.min),
    "timestamptz '2026-03-01 12:00+02'": (pl.Datetime("us", "UTC"), datetime(2026, 3, 1, 10, tzinfo=UTC)),
    "timestamptz 'infinity'": (pl.Datetime("us", "UTC"), datetime.max.replace(tzinfo=UTC)),
    "timestamptz '-infinity'": (pl.Datetime("us", "UTC"), datetime.min.replace(tzinfo=UTC)),
    "timestamp 'infinity'": (pl.Datetime("us"), LAST_MOMENT),
    "time '12:30'": (pl.Time, time(12, 30)),
    "interval '1 day 2 hours'": (pl.Duration("us"), timedelta(days=1, hours=2)),
    "null::interval": (pl.Duration("us"), None),
    "array[1, null]": (pl.List(pl.Int32), [1, None]),
    "array[1.5]": (pl.List(pl.Float64), [1.5]),
    "array['a', null]": (pl.List(pl.String), ["a", None]),
    f"array['{ID}'::uuid, null]": (pl.List(pl.String), [str(ID), None]),
    "array[date 'infinity', '2026-03-01']": (pl.List(pl.Date), [date.max, date(2026, 3, 1)]),
    "array[inet '10.0.0.1']": (pl.List(pl.String), ["10.0.0.1/32"]),
    "'{}'::int[]": (pl.List(pl.Int32), []),
    "null::text[]": (pl.List(pl.String), None),
    "int4range(1, 5)": (pl.String, "[1,5)"),
    "row(1, 'a')": (pl.String, "(1,a)"),
    "inet '10.0.0.1'": (pl.String, "10.0.0.1/32"),
    "pg_sleep(0)": (pl.String, ""),
}


@pytest.mark.parametrize("expression", VALUES)
def test_each_type_arrives_as_documented_with_and_without_parameters_and_rows(wb: Workbench, expression: str) -> None:
    dtype, value = VALUES[expression]
    ask = "select {} as it from (values (1), (2)) as t (n) where n <= "
    plain = wb.sql(ask.format(expression) + "2")
    assert plain.schema == {"it": dtype}
    assert plain["it"].to_list() == [value, value]
    assert wb.sql(ask.format(expression) + "$1", [2]).equals(plain)
    for none in (wb.sql(ask.format(expression) + "0"), wb.sql(ask.format(expression) + "$1", [0])):
        assert (none.schema, none.height) == ({"it": dtype}, 0)


def test_nulls_and_infinity_among_other_rows_leave_those_as_they_are(wb: Workbench) -> None:
    found = wb.sql(
        "select * from (values (1, date 'infinity', $1::uuid, array[1]), (2, null, null, null), "
        "(3, '2026-03-01', $1::uuid, '{}')) as v (n, day, id, list) order by n",
        [ID],
    )
    assert found["day"].to_list() == [date.max, None, date(2026, 3, 1)]
    assert found["id"].to_list() == [str(ID), None, str(ID)]
    assert found["list"].to_list() == [[1], None, []]


def test_columns_of_one_name_are_told_apart(wb: Workbench) -> None:
    assert wb.sql("select 1 as a, 2 as a, 3 as a_2, 4 as a").rows(named=True) == [
        {"a": 1, "a_2": 2, "a_2_2": 3, "a_3": 4}
    ]


def test_an_order_is_kept_through_a_large_answer(wb: Workbench) -> None:
    for query, params in (
        ("select n from generate_series(1, 50000) as n order by n desc", []),
        ("select n from generate_series(1, $1) as n order by n desc", [50_000]),
    ):
        assert wb.sql(query, params)["n"].to_list() == list(range(50_000, 0, -1))


@pytest.mark.parametrize(
    ("expression", "value", "answer"),
    [
        ("$1::text", "", ""),
        ("$1::text", "'; drop table x; --", "'; drop table x; --"),
        ("$1::uuid", ID, str(ID)),
        ("$1 = event_id", str(ID), False),
        ("$1::date - 1", "2026-03-01", date(2026, 2, 28)),
        ("occurred_at > $1", datetime(2026, 1, 1, tzinfo=UTC), True),
        ("event_type = any($1)", ["acme-canary", "x"], True),
        ("properties @> $1", {"of": "acme"}, True),
        ("properties ->> $1", "of", "acme"),
        ("$1 + 1", 41, 42),
        ("$1::numeric", Decimal("1.25"), 1.25),
        ("$1::interval", timedelta(hours=30), timedelta(hours=30)),
        ("$1::bytea", b"\x00", b"\x00"),
        ("$1::int4range", "[1,5)", "[1,5)"),
        ("$1::boolean", False, False),
        ("$1 is null", None, True),
    ],
)
def test_a_value_is_bound_as_the_type_that_its_place_asks_for(
    wb: Workbench, expression: str, value: object, answer: object
) -> None:
    query = f"select {expression} as it from fct_usage_events limit 1"  # noqa: S608 - the test's own text
    assert wb.sql(query, [value]).item() == answer
    assert wb.sql(query.replace("$1", "$given"), {"given": value}).item() == answer


def test_an_answer_of_more_rows_than_wanted_is_told_with_the_first_ones(wb: Workbench) -> None:
    for params in ([], [100]):
        query = (
            "select n from generate_series(1, 100) as n" if not params else "select n from generate_series(1, $1) as n"
        )
        with pytest.raises(TooManyRows, match="more than 10 rows") as refused:
            wb.sql(query, params, most_rows=10)
        assert refused.value.first is not None
        assert refused.value.first["n"].to_list() == list(range(1, 11))
        assert wb.sql(query, params, most_rows=100).height == 100


def test_an_answer_of_too_many_bytes_is_ended_before_it_is_whole(world: SessionWorld) -> None:
    query, reading = "select repeat('x', 1000) from generate_series(1, 1000000)", Reading()
    with (
        Pool() as pool,
        pool.transaction(world.url("acme"), timeout_seconds=30) as connection,
        reading.on(connection),
        pytest.raises(TooManyRows, match="more than 20 MB"),
    ):
        asking.ask(connection, read_statement(query), reading, most_bytes=20 * 1024**2)
    assert reading.progress.bytes < 60 * 1024**2


def test_a_mistake_is_told_in_the_servers_words_with_its_place(wb: Workbench) -> None:
    with pytest.raises(StatementFailed) as failed:
        wb.sql("select 1,\n  nope from freshness")
    assert failed.value.message == 'column "nope" does not exist.\n  nope from freshness\n  ^'
    with pytest.raises(NoSuchTable, match='relation "nope" does not exist'):
        wb.sql("table nope")
    with pytest.raises(StatementFailed, match="division by zero"):
        wb.sql("select n / (n - 5000) from generate_series(1, 6000) as n")
    with pytest.raises(NoSuchTable, match="Did you mean dim_users"):
        wb.table("dim_user")


def test_a_tenant_reads_its_own_rows(world: SessionWorld, wb: Workbench) -> None:
    assert wb.sql("select count(*) from fct_usage_events").item() == ROWS["acme"]
    with world.open("globex") as other:
        assert other.sql("select distinct event_type from fct_usage_events").rows() == [("globex-canary",)]
