"""What is refused before anything is written: above all a customer's card that would not be of one tenant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import SpecError
from tests.unit.workbench.metabase.files import ACTIVE_USERS, METRICS, judged, text, written
from workbench.metabase.lint import require_fit
from workbench.metabase.spec import read_spec
from workbench.metabase.sql_law import problems
from workbench.metabase.template import parse

FROM = "[{slug: from, name: From, type: date/single}]"
OPTIONAL = "select events from metrics.events({{tenant}}, coalesce([[{{from}}::date,]] current_date - 9), current_date)"
SECOND = """\
  - name: Again
    display: line
    place: {row: 5, column: 11, width: 4, height: 2}
    sql: select 1 from metrics.freshness({{tenant}})
"""

FIT = [
    ACTIVE_USERS,
    "with f as (select * from metrics.freshness({{ tenant }})) select as_of from f",
    """
    select a.period_start, e.events from metrics.active_users({{tenant}}, current_date - 1, current_date) as a
    left join metrics.events({{tenant}}, current_date - 1, current_date) as e using (period_start)
    """,
    """
    select round(avg(events)::numeric, 1), count(*) filter (where events > 3), rank() over (order by events)
    from metrics.events({{tenant}}, current_date - 1, current_date) group by events having sum(events) > 1
    """,
    "select * from metrics.freshness({{tenant}}) union all select * from metrics.freshness({{tenant}})",
]
NOT_OF_ONE_TENANT = [
    ("select 1 as one", "does not use the locked parameter"),
    ("select * from metrics.active_users('acme', current_date - 9, current_date)", "does not use the locked parameter"),
    ("select * from metrics.events([[{{tenant}},]] null, null, null)", r"within \[\[ \]\]"),
    ("select * from metrics.events({{tenant}}, null, null) [[where {{tenant}} is not null]]", r"within \[\[ \]\]"),
    ("select * from metrics.events(null, {{tenant}}, null)", "as its first argument"),
    ("select * from metrics.events(coalesce({{tenant}}, 'x'), null, null)", "as its first argument"),
    ("select * from metrics.events('x' || {{tenant}}, null, null)", "as its first argument"),
    ("select *, {{tenant}} as token from metrics.freshness({{tenant}})", "nobody's to see"),
    ("select * from metrics.events({{tenant}}, null, null, {{tenant}})", "as its first argument"),
    ("select * from metrics.freshness({{tenant}}), metrics.freshness('x')", "as its first argument"),
]
BEYOND_METRICS = [
    ("select * from marts.dim_tenants, metrics.freshness({{tenant}})", "reads marts.dim_tenants"),
    ("select * from dim_users, metrics.freshness({{tenant}})", "reads dim_users"),
    ("select (select count(*) from raw.usage_events) from metrics.freshness({{tenant}})", "reads raw.usage_events"),
    ("select * from metrics.freshness({{tenant}}) where exists (table pg_roles)", "SQL|reads|SELECT"),
    ("with f as (select 1) select * from f where {{tenant}} is null", "asks no function|nobody's to see"),
    ("select * from control.issue_tenant_token({{tenant}}, 60)", "reads control.issue_tenant_token"),
    ("select * from issue_tenant_token({{tenant}}, 60)", "reads issue_tenant_token"),
    ("select * from other.metrics.freshness({{tenant}})", "reads other.metrics.freshness"),
    ("select * from metrics.nothing({{tenant}})", "which there is not"),
    ("select pg_read_file('x') from metrics.freshness({{tenant}})", "calls pg_read_file"),
    ("select set_config('a', 'b', true) from metrics.freshness({{tenant}})", "calls set_config"),
    ("select pg_sleep(9) from metrics.freshness({{tenant}})", "calls pg_sleep"),
    ("select current_user from metrics.freshness({{tenant}})", "calls CURRENT_USER"),
    ("select query_to_xml('table x', true, true, '') from metrics.freshness({{tenant}})", "calls query_to_xml"),
    ("select * from generate_series(1, 9), metrics.freshness({{tenant}})", "GENERATE_SERIES"),
]
NO_QUERY = [
    ("delete from x where {{tenant}} is null", "one SELECT"),
    ("select * from metrics.freshness({{tenant}}); select 1", "one SELECT"),
    ("with d as (delete from x returning *) select * from metrics.freshness({{tenant}})", "more than read"),
    ("select * into y from metrics.freshness({{tenant}})", "more than read"),
    ("select * from metrics.freshness({{tenant}}) for update", "more than read"),
    ("set x = {{tenant}}", "one SELECT"),
    ("select from where {{tenant}} metrics.freshness(", "no SQL that is understood"),
    ("select '{{tenant}}' from metrics.freshness({{tenant}})", "no SQL that is understood|nobody's to see"),
]


@pytest.mark.parametrize("sql", FIT)
def test_what_asks_metrics_for_the_tenant_is_fit(tmp_path: Path, sql: str) -> None:
    judged(tmp_path, text(sql))


@pytest.mark.parametrize(("sql", "told"), [*NOT_OF_ONE_TENANT, *BEYOND_METRICS, *NO_QUERY])
def test_a_customers_card_that_may_show_another_tenant_or_more_is_refused(tmp_path: Path, sql: str, told: str) -> None:
    with pytest.raises(SpecError, match=told) as refused:
        judged(tmp_path, text(sql))
    assert refused.value.message.startswith(f"{tmp_path}/usage.yml:6: card 'Active users' ")
    assert refused.value.remedy


@given(
    name=st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    template=st.sampled_from(
        [
            "select * from {}",
            "select * from analytics.{}",
            "select (select max(x) from {}) from metrics.freshness({{{{tenant}}}})",
            "select {}(as_of) from metrics.freshness({{{{tenant}}}})",
            "select * from metrics.freshness({{{{tenant}}}}) where as_of in (select y from marts.{})",
        ]
    ),
)
def test_no_other_relation_and_no_unknown_function_passes(name: str, template: str) -> None:
    known = {"abs", "avg", "max", "min", "sum", "count", "ceil", "floor", "round", "lower", "upper", "trim", "length"}
    parsed = parse(template.format(name))
    found = list(problems(parsed, for_customers=True, metrics=METRICS))
    assert found or (name in known and template.startswith("select {}("))


def test_what_the_viewer_may_choose_stands_in_brackets(tmp_path: Path) -> None:
    judged(tmp_path, text(OPTIONAL, parameters=FROM))
    with pytest.raises(SpecError, match="cannot run while 'from' is not set"):
        judged(tmp_path, text(OPTIONAL.replace("[[", "").replace(",]]", ","), parameters=FROM))
    with pytest.raises(SpecError, match=r"{{from}}, which is no parameter"):
        judged(tmp_path, text(OPTIONAL))


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("[{slug: tenant, name: Tenant, type: string/=}]", "declares a parameter 'tenant'"),
        ("[{slug: a, name: A, type: string/=}, {slug: a, name: B, type: string/=}]", "two parameters 'a'"),
        ("[{slug: a, name: A, type: string/=}, {slug: b, name: A, type: string/=}]", "two parameters 'A'"),
        ("[{slug: a, name: A, type: date/single, values: [x]}]", "gives values to 'a'"),
        ("[{slug: a, name: A, type: string/=, values: [x], default: y}]", "not among its values"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(tmp_path: Path, parameters: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        judged(tmp_path, text(parameters=parameters))


def test_staff_may_ask_for_a_tenant_by_its_name(tmp_path: Path) -> None:
    named = "[{slug: tenant, name: Tenant, type: string/=}]"
    sql = "select * from marts.dim_tenants where true [[and tenant_id = {{tenant}}]]"
    judged(tmp_path, text(sql, audience="staff", parameters=named))
    with pytest.raises(SpecError, match="one SELECT"):
        judged(tmp_path, text("delete from marts.dim_tenants", audience="staff"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (text(place="{row: 0, column: 20, width: 5, height: 1}"), "does not fit into 24 columns"),
        (text(more=SECOND), "'Again' lies over 'Active users'"),
        (text(more=SECOND.replace("Again", "Active users")), "two cards 'Active users'"),
        (text("select '?' from metrics.freshness({{tenant}})"), r"has a \?"),
        (text("select 1 [[ from metrics.freshness({{tenant}})"), "not closed"),
        (text("select 1 ]] from metrics.freshness({{tenant}})"), "not opened"),
        (text("select 1 [[ [[ ]] ]] from metrics.freshness({{tenant}})"), "within brackets"),
        (text("select 1 [[ ]] from metrics.freshness({{tenant}})"), "without a tag"),
        (text("select {{ from metrics.freshness({{tenant}})"), "that is no tag"),
        (text("select 1 from metrics.freshness({{#12}})"), "that is no tag"),
    ],
)
def test_what_metabase_would_swallow_or_choke_on_is_refused(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        judged(tmp_path, content)


def test_cards_may_stand_close_together(tmp_path: Path) -> None:
    judged(tmp_path, text(more=SECOND.replace("row: 5, column: 11", "row: 5, column: 12")))
    judged(tmp_path, text(more=SECOND.replace("row: 5, column: 11", "row: 6, column: 11")))


def test_two_dashboards_have_two_titles(tmp_path: Path) -> None:
    files = [read_spec(written(tmp_path, text(), name)) for name in ("one.yml", "two.yml")]
    with pytest.raises(SpecError, match=r"has the title of one\.yml"):
        require_fit(files, METRICS)
