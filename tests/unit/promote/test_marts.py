"""The registry of what is published, read from the ymls."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import DeploymentError
from pipeline.promote.marts import Strategy, models_fingerprint, read_cached_views, read_marts
from tests.conftest import DBT_DIR

Edit = Callable[[str], str]


@pytest.fixture
def dbt_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DBT_DIR, tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs")))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_projects_marts_are_what_readers_were_promised() -> None:
    marts = {mart.name: mart for mart in read_marts(DBT_DIR)}
    assert {name: mart.key[1:] for name, mart in marts.items()} == {
        "active_users": ("period", "period_start"),
        "dim_tenants": (),
        "dim_users": ("user_id",),
        "fct_sessions": ("session_id",),
        "fct_usage_events": ("event_id",),
        "fct_user_activity": ("user_id", "active_on", "event_type"),
        "feature_adoption": ("event_type",),
        "tenant_usage_metrics": ("day", "event_type"),
    }
    assert [name for name, mart in marts.items() if mart.strategy is Strategy.APPEND] == ["fct_usage_events"]
    assert all(mart.columns[0].name == mart.key[0] == "tenant_id" for mart in marts.values())
    assert [view.name for view in read_cached_views(DBT_DIR)] == ["feature_ranking"]


def test_a_mart_is_added_by_a_sql_and_a_yml(dbt_dir: Path) -> None:
    folder = dbt_dir / "models" / "marts"
    (folder / "dim_plans.sql").write_text("select 1")
    (folder / "dim_plans.yml").write_text(
        (folder / "dim_users.yml").read_text().partition("unit_tests")[0].replace("dim_users", "dim_plans")
    )
    assert "dim_plans" in {mart.name for mart in read_marts(dbt_dir)}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("key: [tenant_id, user_id]", "key: [user_id, tenant_id]", "key that does not begin with tenant_id"),
        ("key: [tenant_id, user_id]", "key: [tenant_id, nobody]", "the key over tenant_id, nobody"),
        ("indexes: []", "indexes: [[last_seen_at]]", "index that does not begin with tenant_id"),
        ("indexes: []", "indices: []", "unknown field `indices`"),
        ("strategy: merge", "strategy: swap", "Invalid enum value 'swap'"),
        ("tenant_column: tenant_id", "tenant_column: user_id", "does not begin with tenant_id"),
        ("data_type: bigint", "data_type: numeric", "type 'numeric'"),
        ("name: active_days", "name: Active Days", "the column 'Active Days'"),
        ("- name: events", "- nome: events", "missing required field `name`"),
        ("    config:", "    config:\n      contract: {enforced: false}", "switches its contract off"),
        ("One row per tenant and user.", "One row per user.", "does not end with its grain"),
        ("name: dim_users", "name: dim_persons", "describes dim_persons"),
        ("models:", "models: [", "is no YAML"),
    ],
)
def test_a_yml_that_cannot_be_published_is_refused_with_its_file_and_a_remedy(
    dbt_dir: Path, old: str, new: str, told: str
) -> None:
    path = dbt_dir / "models" / "marts" / "dim_users.yml"
    edit(path, old, new)
    with pytest.raises(DeploymentError) as refused:
        read_marts(dbt_dir)
    assert str(path) in refused.value.message
    assert told in refused.value.message
    assert refused.value.remedy


def test_a_cached_view_without_its_sql_is_refused(dbt_dir: Path) -> None:
    (dbt_dir / "cache" / "feature_ranking.sql").unlink()
    with pytest.raises(DeploymentError, match=r"feature_ranking\.sql and feature_ranking\.yml side by side"):
        read_cached_views(dbt_dir)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/marts/dim_users.sql", "least(", "greatest("),
        ("macros/tenant_context.sql", "limit 1", "limit 2"),
        ("models/marts/dim_users.yml", "data_type: bigint", "data_type: integer"),
        ("dbt_project.yml", "+unlogged: true", "+unlogged: false"),
    ],
)
def test_the_fingerprint_follows_what_decides_the_content(dbt_dir: Path, file: str, old: str, new: str) -> None:
    before = models_fingerprint(dbt_dir)
    edit(dbt_dir / file, old, new)
    assert models_fingerprint(dbt_dir) != before


def test_prose_and_tests_do_not_change_the_fingerprint(dbt_dir: Path) -> None:
    before = models_fingerprint(dbt_dir)
    edit(dbt_dir / "models/marts/dim_users.yml", "description: The tenant.", "description: Whose row it is.")
    edit(dbt_dir / "models/marts/dim_users.yml", "user_id: u1", "user_id: u2")
    (dbt_dir / "models" / "README.md").write_text("Read me.")
    assert models_fingerprint(dbt_dir) == before == models_fingerprint(DBT_DIR)
