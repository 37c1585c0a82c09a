"""The tenant lint: each way of mixing tenants, planted and caught, and none where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.promote.tenant_lint import main
from pipeline.promote.tenant_lint_rules import violations
from tests.conftest import DBT_DIR

PLANTED = {
    "a join on another key": (
        "select a.tenant_id from a inner join b on a.user_id = b.user_id",
        "b is joined without equality of tenant_id",
    ),
    "a join whose equality is one of two alternatives": (
        "select a.tenant_id from a inner join b on a.tenant_id = b.tenant_id or a.user_id = b.user_id",
        "b is joined",
    ),
    "a join of tenants that differ": (
        "select a.tenant_id from a inner join b on a.tenant_id <> b.tenant_id",
        "b is joined",
    ),
    "a cross join": ("select a.tenant_id from a cross join b", "b is joined"),
    "a join with a comma": ("select a.tenant_id from a, b where a.user_id = b.user_id", "b is joined"),
    "a natural join": ("select a.tenant_id from a natural join b", "b is joined"),
    "a join using another key": ("select a.tenant_id from a join b using (user_id)", "b is joined"),
    "a third relation tied to none": (
        "select a.tenant_id from a join b on a.tenant_id = b.tenant_id join c on b.user_id = c.user_id",
        "c is joined",
    ),
    "two relations tied only in the condition of an outer join": (
        "select a.tenant_id from a cross join b left join c on a.tenant_id = b.tenant_id and a.tenant_id = c.tenant_id",
        "b is joined",
    ),
    "a lateral subquery without the tenant": (
        "select a.tenant_id from a cross join lateral (select * from m where m.user_id = a.user_id offset 0) as p",
        "p is joined",
    ),
    "a CTE that lost its tenant": (
        "with users as (select user_id from a) select b.tenant_id from b join users on b.user_id = users.user_id",
        "users is joined",
    ),
    "a group by without the tenant": (
        "select min(tenant_id) as tenant_id, day from a group by day",
        "groups by less than tenant_id",
    ),
    "a group by position that is not the tenant": (
        "select tenant_id, day, count(*) from a group by 2",
        "groups by less than tenant_id",
    ),
    "a rollup": ("select tenant_id, day, count(*) from a group by rollup (tenant_id, day)", "groups by less"),
    "an aggregate over everybody": ("select max(tenant_id) as x from a", "aggregates all tenants together"),
    "an aggregate in a CTE": (
        "with total as (select jsonb_agg(user_id) as users from a) select a.tenant_id from a cross join total",
        "aggregates all tenants together",
    ),
    "a window over everybody": (
        "select tenant_id, row_number() over (order by events) from a",
        "a window spans tenants",
    ),
    "a window within something else": (
        "select tenant_id, sum(events) over (partition by user_id) from a",
        "a window spans tenants",
    ),
    "a named window": (
        "select tenant_id, sum(events) over w from a window w as (partition by user_id)",
        "a window spans tenants",
    ),
    "a distinct on another key": (
        "select distinct on (user_id) tenant_id, user_id from a",
        "distinct leaves tenant_id",
    ),
    "a distinct without the tenant": (
        "with users as (select distinct user_id from a) select tenant_id from b",
        "distinct leaves tenant_id",
    ),
    "exists without the tenant": (
        "select tenant_id from a where exists (select 1 from b where b.user_id = a.user_id)",
        "a subquery looks at all tenants",
    ),
    "not in": (
        "select tenant_id from a where user_id not in (select user_id from b)",
        "a subquery looks at all tenants",
    ),
    "a scalar subquery": (
        "select tenant_id, (select max(b.events) from b where b.user_id = a.user_id) from a",
        "a subquery looks at all tenants",
    ),
    "a subquery in a join's condition": (
        "select a.tenant_id from a join b on a.tenant_id = b.tenant_id and exists (select 1 from c where c.x = a.x)",
        "a subquery looks at all tenants",
    ),
    "a limit": ("select tenant_id from a order by events limit 10", "keeps rows of some tenants only"),
    "another column as the tenant": ("select user_id as tenant_id from a", "names something else tenant_id"),
    "a constant as the tenant": ("select 'acme' as tenant_id, user_id from a", "names something else tenant_id"),
    "a model without the tenant": ("select user_id from a", "its first column is not tenant_id"),
    "a model whose tenant comes second": (
        "with x as (select user_id, tenant_id from a) select * from x",
        "its first column is not tenant_id",
    ),
    "a union, one side of which leaves the tenant out": (
        "select tenant_id, user_id from a union all select user_id, tenant_id from b",
        "its first column is not tenant_id",
    ),
}

HARMLESS = {
    "joins by tenant": "select a.tenant_id from a join b on a.tenant_id = b.tenant_id and a.x = b.x left join c "
    "on (b.tenant_id = c.tenant_id)",
    "a comma join by tenant": "select a.tenant_id from a, b where a.x = b.x and a.tenant_id = b.tenant_id",
    "using": "select tenant_id from a join b using (tenant_id, user_id)",
    "lateral values": "select a.tenant_id from a cross join lateral (values (a.x), (a.y)) as v (x)",
    "a set-returning function": "select a.tenant_id from a, lateral jsonb_each(a.x) as p, generate_series(1, 3)",
    "a correlated limit": "select a.tenant_id from a left join lateral "
    "(select * from m where m.tenant_id = a.tenant_id order by x limit 1) as p on true",
    "a correlated aggregate": "select tenant_id, (select max(b.x) from b where b.tenant_id = a.tenant_id) from a",
    "exists by tenant": "select tenant_id from a where not exists "
    "(select 1 from b where a.tenant_id = b.tenant_id and b.x = a.x)",
    "groups, windows and distincts by tenant": "with x as (select tenant_id, day, count(distinct user_id) filter "
    "(where new) from a group by 1, 2), y as (select distinct on (tenant_id, day) * from x), z as (select distinct * "
    "from y) select tenant_id, rank() over (partition by tenant_id order by day) from z",
    "a union": "with u as (select tenant_id from a union all select tenant_id from b) select * from u",
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_violation_is_caught_and_told_with_a_remedy(case: str) -> None:
    query, problem = PLANTED[case]
    found = violations(query)
    assert problem in " ".join(f"{violation.where} {violation.problem}" for violation in found)
    assert all(violation.remedy for violation in found)


@pytest.mark.parametrize("case", HARMLESS)
def test_a_query_that_keeps_tenants_apart_passes(case: str) -> None:
    assert violations(HARMLESS[case]) == []


def test_the_violation_is_found_in_its_cte() -> None:
    query = "with good as (select * from a), bad as (select g.tenant_id from good as g cross join b) select * from bad"
    assert [violation.where for violation in violations(query)] == ["bad"]


def test_the_project_passes_and_a_planted_model_fails_with_file_line_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dbt_dir = tmp_path / "dbt"
    shutil.copytree(DBT_DIR, dbt_dir, ignore=shutil.ignore_patterns("target", "logs"))
    assert main([str(dbt_dir)]) == 0

    model = dbt_dir / "models" / "marts" / "dim_users.sql"
    model.write_text(
        model.read_text().replace(
            "{{ left_join_published('dim_users', to='users', on=['user_id']) }}",
            "inner join {{ source('published', 'dim_users') }} as published on published.user_id = users.user_id",
        )
    )
    (dbt_dir / "models" / "marts" / "orphan.sql").write_text("select tenant_id from {{ ref('dim_users') }}\n")
    assert main([str(dbt_dir)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{dbt_dir}/models/marts/orphan.sql:1: the model has no orphan.yml beside it" in lines[0]
    assert f"{model}:9: in merged: published is joined without equality of tenant_id. Join on" in lines[1]
