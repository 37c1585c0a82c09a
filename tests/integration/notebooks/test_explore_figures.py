"""Explore's figures, its SQL and its Polars code say the same, on a real PostgreSQL as the tenant's own login."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from psycopg.types.json import Jsonb

from pipeline.core.database import Database
from pipeline.core.tenants import add_tenant
from tests.conftest import deployed
from tests.unit.workbench.analysis.explore_events import KEYS, TEXTS, assert_same, questions, some_events
from workbench.analysis.explore import Filter, Question, answer, single_events
from workbench.analysis.explore_code import as_polars, single_events_code
from workbench.analysis.explore_sql import as_python, as_sql, single_events_sql
from workbench.analysis.fields import Field
from workbench.session import Workbench, open_workbench

COUNT = 80

ADD = """
insert into marts.fct_usage_events (
    tenant_id, event_id, event_type, occurred_at, occurred_on, received_at, lag_seconds, user_id, session_id, properties
)
values
    (%(tenant_id)s, %(event_id)s, %(event_type)s, %(occurred_at)s, (%(occurred_at)s at time zone 'UTC')::date,
     %(received_at)s, extract(epoch from %(received_at)s::timestamptz - %(occurred_at)s::timestamptz),
     %(user_id)s, %(session_id)s, %(properties)s)
"""


@pytest.fixture(scope="module", params=range(3))
def wb(
    request: pytest.FixtureRequest, cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workbench]:
    """A tenant's workbench over a small random data set, and a neighbour with one of its own."""
    chance = random.Random(request.param)
    with deployed(cluster, template) as database:
        for tenant in ("acme", "globex"):
            add_tenant(database, tenant)
            add_events(database, tenant, chance)
        with open_workbench(database, "acme", cache_dir=tmp_path_factory.mktemp("extracts")) as workbench:
            yield workbench


def add_events(database: Database, tenant: str, chance: random.Random) -> None:
    """Publish random events of a tenant."""
    with database.connect_admin() as connection:
        for event in some_events(chance, COUNT):
            event_id = uuid.UUID(int=chance.getrandbits(128), version=4)
            properties = Jsonb(event.pop("properties"))
            connection.execute(ADD, {"tenant_id": tenant, "event_id": event_id, "properties": properties, **event})


def test_all_three_ways_give_the_same_figures(wb: Workbench) -> None:
    frame = wb.table("fct_usage_events")

    @given(questions())
    @settings(max_examples=100)
    def compare(question: Question) -> None:
        shown = answer(question, frame)
        by_sql = wb.sql(*as_sql(question))
        assert_same(by_sql, shown, question)
        assert_same(run(as_polars(question), wb), shown, question)

    compare()


def test_all_three_ways_list_the_same_events(wb: Workbench) -> None:
    frame = wb.table("fct_usage_events")

    @given(questions())
    @settings(max_examples=50)
    def compare(question: Question) -> None:
        shown = single_events(question, frame, most=20)
        assert wb.sql(*single_events_sql(question, most=20)).equals(shown)
        assert run(single_events_code(question, most=20), wb).equals(shown)

    compare()


def test_what_is_taken_along_as_python_asks_the_same_statement(wb: Workbench) -> None:
    @given(questions())
    @settings(max_examples=30)
    def compare(question: Question) -> None:
        statement = as_sql(question)
        assert_same(run(as_python(*statement), wb), wb.sql(*statement), question)

    compare()


@pytest.mark.parametrize("hostile", [*KEYS, *TEXTS, "x' or 'a' = 'a", '"; table marts.fct_usage_events --', "$1", "{}"])
def test_a_hostile_name_or_value_is_a_name_or_a_value_and_nothing_else(wb: Workbench, hostile: str) -> None:
    question = Question(
        dimensions=(Field(hostile),),
        filters=(Filter(field=Field("event_type", "column"), operator="is_not", value=(hostile,)),),
    )
    statement, params = as_sql(question)
    assert hostile in params.values()
    assert_same(wb.sql(statement, params), answer(question, wb.table("fct_usage_events")), question)
    assert wb.sql(statement, params)["events"].sum() == COUNT


def run(code: str, wb: Workbench) -> pl.DataFrame:
    """What code to take along leaves in `answer`."""
    names: dict[str, Any] = {"wb": wb}
    exec(code, names)
    found = names["answer"]
    assert isinstance(found, pl.DataFrame)
    return found
