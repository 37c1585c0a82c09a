"""What a session was, is, or will be told changes nothing in what a call shows: each shows its own token's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.database import ServiceRole
from tests.conftest import deployed
from tests.integration.isolation.embed import CALL, METRICS, TELLING, Embedding, embedding, telling
from tests.integration.isolation.test_relations import assert_silent

BOTH = "({own}) union all ({foreign})"
CROSSED = "select a.*, b.* from ({own}) as a cross join ({foreign}) as b"
LATERAL = """
select t.n, e.* from (values (1, %s), (2, %s), (3, %s)) as t (n, token) cross join lateral ({of_token}) as e
"""
LISTED = """
select (metrics.events(%s, '2026-03-01', '2026-04-01', 'day', 'event_type')).event_type,
    (metrics.events(%s, '2026-03-01', '2026-04-01', 'day', 'event_type')).event_type
"""
NESTED = "(select case when count(*) = 7 then %s end from metrics.feature_users(%s, '2026-03-01', '2026-04-01'))"
WITH_ARGUMENTS = "select * from metrics.events(%s, {arguments})"
ORACLES = [
    "select event_type::integer from ({of_acme}) as e",
    "select 1 / (case when event_type like 'globex%%' then 0 else 1 end) from ({of_acme}) as e",
    "select * from ({of_acme}) as e where event_type::date > now()",
]
BOUND = TELLING.format(token="%s").encode()
SETTINGS = [
    "set workbench.tenant_token = '{foreign}'",
    "set session workbench.tenant_token to '{foreign}'",
    "set local workbench.tenant_token = '{foreign}'",
    "set search_path = pg_temp, control, marts, analytics",
    "set search_path = ''",
    "set timezone = 'Pacific/Kiritimati'",
    "set timezone = 'Etc/GMT+12'",
    "set datestyle = 'German'",
    "set intervalstyle = 'iso_8601'",
    "set plan_cache_mode = force_generic_plan",
    "set plan_cache_mode = force_custom_plan",
    "set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off",
    "set default_transaction_isolation = 'serializable'",
    "set transaction_read_only = on",
    "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0",
    "set jit_above_cost = 0",
    "set check_function_bodies = off",
]
ERRORS = [
    ("'2026-03-01', '2026-04-01', 'hour'", "granularity is one of: day, week, month."),
    ("'2026-03-01', '2026-04-01', 'globex''; --'", "granularity is one of: day, week, month."),
    ("'2026-03-01', '2026-04-01', 'day', 'tenant_id'", "dimension is one of: none, event_type."),
    ("'2026-03-01', '2026-03-01'", "to_day is the later one"),
    ("'2026-03-01', null", "to_day is the later one"),
    ("null, '2026-03-01'", "to_day is the later one"),
    ("'-infinity', 'infinity'", "to_day is the later one"),
    ("'2020-02-29', '2025-03-01'", "5 years at most"),
    ("'4713-01-01 BC', '2026-03-01'", "5 years at most"),
]


@pytest.fixture(scope="module")
def world(cluster: str, template: str) -> Iterator[Embedding]:
    with deployed(cluster, template) as database:
        yield embedding(database)


def all_figures(embed: psycopg.Connection, token: str) -> dict[str, list[tuple[Any, ...]]]:
    """What every metric answers; in binary, since the session may say how dates are written."""
    return {name: embed.execute(CALL.format(name=name).encode(), (token,), binary=True).fetchall() for name in METRICS}


def test_no_setting_of_the_session_changes_what_a_token_opens(world: Embedding) -> None:
    own, foreign = world.sign("acme"), world.sign("globex")
    with world.connect() as embed:
        usual = all_figures(embed, own)
    # The made-up rows of that one are of no period that it knows.
    assert [name for name, rows in usual.items() if not rows] == ["active_users"]
    for statement in SETTINGS:
        with world.connect(autocommit=False) as embed:
            embed.execute(statement.format(foreign=foreign).encode())
            for presented in ("", None, "[]"):
                with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification), embed.transaction():
                    embed.execute(BOUND, (presented,))
            assert embed.execute(BOUND, (own,)).fetchall() == world.expected["acme"], statement
            assert all_figures(embed, own) == usual, statement


def test_row_security_switched_off_is_an_error_and_no_way_around(world: Embedding) -> None:
    with world.connect() as embed:
        embed.execute("set row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
            embed.execute(BOUND, (world.sign("acme"),))
    assert_silent(str(caught.value), world.tenants["acme"])


def test_one_statement_with_two_tokens_shows_each_its_own(world: Embedding) -> None:
    own, foreign = world.sign("acme"), world.sign("globex")
    of = TELLING.format
    acme, globex = sorted(world.expected["acme"]), sorted(world.expected["globex"])
    with world.connect() as embed:

        def ask(query: str, *tokens: str) -> list[tuple[Any, ...]]:
            return sorted(embed.execute(query.encode(), tokens).fetchall())

        bound = {"own": of(token="%s"), "foreign": of(token="%s")}
        both = BOTH.format(**bound)
        assert ask(both, own, foreign) == ask(both, foreign, own) == sorted(acme + globex)
        assert ask(CROSSED.format(**bound), own, foreign) == sorted(a + b for a in acme for b in globex)
        expected = [(n, *row) for n, rows in enumerate((acme, globex, acme), start=1) for row in rows]
        assert ask(LATERAL.format(of_token=of(token="t.token")), own, foreign, own) == expected
        shown = embed.execute(LISTED, (own, foreign)).fetchall()
        assert {a for a, _ in shown if a} == {row[0] for row in acme}
        assert {b for _, b in shown if b} == {row[0] for row in globex}
        # The argument of a call is another call with another token.
        assert ask(of(token=NESTED), own, foreign) == acme


def test_a_token_that_is_refused_ends_the_whole_statement(world: Embedding) -> None:
    with world.connect() as embed, pytest.raises(psycopg.errors.InvalidAuthorizationSpecification):
        embed.execute(BOTH.format(own=BOUND.decode(), foreign=BOUND.decode()).encode(), (world.sign("acme"), ""))


def test_a_prepared_statement_shows_each_execution_its_own(world: Embedding) -> None:
    with world.connect() as embed:
        embed.execute(b"prepare asked (text) as " + TELLING.format(token="$1").encode())
        for mode in ("auto", "force_generic_plan", "force_custom_plan"):
            embed.execute(f"set plan_cache_mode = {mode}".encode())
            for tenant in ("acme", "globex") * 8:
                assert embed.execute(BOUND, (world.sign(tenant),), prepare=True).fetchall() == world.expected[tenant]
                rows = embed.execute(f"execute asked ('{world.sign(tenant)}')".encode()).fetchall()
                assert rows == world.expected[tenant]
            with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification):
                embed.execute("execute asked ('')")


def test_cursors_that_stay_open_keep_their_own_rows(world: Embedding) -> None:
    with world.connect(autocommit=False) as embed:
        for tenant in world.tenants:
            embed.execute(f"declare of_{tenant} cursor for ".encode() + telling(world.sign(tenant)))
        embed.execute("declare held cursor with hold for " + telling(world.sign("acme")).decode())
        fetched: dict[str, list[tuple[Any, ...]]] = {tenant: [] for tenant in world.tenants}
        for _ in range(max(len(rows) for rows in world.expected.values())):
            for tenant, rows in fetched.items():
                rows += embed.execute(f"fetch 1 from of_{tenant}".encode()).fetchall()
        assert fetched == world.expected
        embed.commit()
        with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification), embed.transaction():
            embed.execute(BOUND, ("",))
        assert embed.execute("fetch all from held").fetchall() == world.expected["acme"]


def test_an_argument_that_is_refused_is_told_with_what_is_allowed(world: Embedding) -> None:
    with world.connect() as embed:
        for arguments, told in ERRORS:
            query = WITH_ARGUMENTS.format(arguments=arguments).encode()
            with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
                embed.execute(query, (world.sign("acme"),))
            assert told in str(caught.value)
            assert_silent(str(caught.value), world.tenants["acme"], where=arguments)
            # Who has no token learns nothing of what is allowed.
            with pytest.raises(psycopg.errors.InvalidAuthorizationSpecification):
                embed.execute(query, ("",))


def test_an_error_on_a_rows_value_never_speaks_of_foreign_ones(world: Embedding) -> None:
    acme = world.tenants["acme"]
    with world.connect() as embed:
        for oracle in ORACLES:
            query = oracle.format(of_acme=BOUND.decode())
            try:
                rows = embed.execute(query.encode(), (world.sign("acme"),)).fetchall()
            except psycopg.Error as error:
                assert_silent(str(error).replace("globex%", ""), acme, where=query)
            else:
                assert len(rows) == acme.own_rows


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex"]),
        st.sampled_from(["rows", "half", "bad token", "bad argument", "own setting"]),
        st.sampled_from(["go on", "commit", "roll back"]),
    ),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_order_of_calls_on_one_connection_lets_tokens_mix_or_stay(world: Embedding, steps: list[Any]) -> None:
    """As the API role, which may read the views of analytics as well: they show a row while a token is in force."""
    with world.connect(ServiceRole.API, autocommit=False) as api:
        for tenant, what, ending in steps:
            try:
                with api.transaction():
                    _take_step(api, world, tenant, what)
            except (psycopg.errors.InvalidAuthorizationSpecification, psycopg.errors.InvalidParameterValue):
                assert what.startswith("bad")
            assert api.execute("select count(*) from analytics.dim_users").fetchone() == (0,)
            if ending == "commit":
                api.commit()
            elif ending == "roll back":
                api.rollback()


def _take_step(api: psycopg.Connection, world: Embedding, tenant: str, what: str) -> None:
    token = world.sign(tenant)
    match what:
        case "rows":
            assert api.execute(BOUND, (token,)).fetchall() == world.expected[tenant]
        case "half":
            assert api.execute(BOUND + b" limit 2", (token,)).fetchall() == world.expected[tenant][:2]
        case "bad token":
            api.execute(BOUND, (token[:-1] + ("0" if token[-1] != "0" else "1"),))
        case "bad argument":
            api.execute("select * from metrics.events(%s, '2026-03-01', '2026-04-01', 'hour')", (token,))
        case "own setting":
            # A service that reads the views with a token of its own: a call takes that away too, it adds nothing.
            api.execute("select set_config('workbench.tenant_token', %s, true)", (token,))
            assert api.execute(BOUND, (token,)).fetchall() == world.expected[tenant]
            assert api.execute("select count(*) from analytics.dim_users").fetchone() == (0,)
