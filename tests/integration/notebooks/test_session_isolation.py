"""Whatever order tenants read in, over one registry, one pool and one cache: none ever sees another's canary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.notebooks.session_world import SessionWorld, new_session_world
from workbench.session import SourceError, Workbench
from workbench.session.extracts import ExtractCache
from workbench.session.pool import Pool, PoolLimits
from workbench.session.registry import Registry

TENANTS = {"acme": 50, "globex": 70, "initech": 20}
CANARIES = "select event_type, properties ->> 'of' as of, user_id from fct_usage_events"


def by_sql(wb: Workbench) -> pl.DataFrame:
    return wb.sql(CANARIES)


def by_value(wb: Workbench) -> pl.DataFrame:
    return wb.sql(CANARIES + " where event_type like $1", ["%canary"])


def by_table(wb: Workbench) -> pl.DataFrame:
    return wb.table("fct_usage_events").select("event_type", "user_id").collect()


def by_duckdb(wb: Workbench) -> pl.DataFrame:
    found = wb.duckdb(["fct_usage_events"]).sql("select event_type, user_id from fct_usage_events")
    return pl.DataFrame(found.to_arrow_table())


def by_an_attack(wb: Workbench) -> pl.DataFrame:
    """Statements that try to leave something behind for the next one on the connection."""
    for attack in ("select set_config('role', 'postgres', false)", "set session authorization default", "select 1/0"):
        with pytest.raises(SourceError):
            wb.sql(attack)
    return wb.sql(CANARIES)


def by_a_broken_read(wb: Workbench) -> pl.DataFrame:
    with pytest.raises(SourceError):
        wb.sql("select * from fct_usage_events, generate_series(1, 1000000)", timeout_seconds=0.05)
    return wb.sql(CANARIES)


WAYS: dict[str, Callable[[Workbench], pl.DataFrame]] = {
    each.__name__: each for each in (by_sql, by_value, by_table, by_duckdb, by_an_attack, by_a_broken_read)
}
STEPS = st.lists(st.tuples(st.sampled_from(sorted(TENANTS)), st.sampled_from(sorted(WAYS))), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def registry(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """So small that tenants take each other's place all the time."""
    folder = tmp_path_factory.mktemp("extracts") / "mine"
    with new_session_world(cluster, template, folder) as world, Pool(PoolLimits(total=3, per_login=2)) as pool:
        world.add_tenant("initech", TENANTS["initech"])
        cache = ExtractCache(folder, most_bytes=20_000)
        registry = Registry(lambda tenant: _open(world, tenant, pool, cache), most_open=2)
        yield registry
        registry.close()


@settings(max_examples=25)
@given(steps=STEPS, threads=st.integers(1, 4))
def test_no_interleaving_shows_a_foreign_row(registry: Registry, steps: list[tuple[str, str]], threads: int) -> None:
    def take(step: tuple[str, str]) -> tuple[str, pl.DataFrame]:
        tenant, way = step
        return tenant, WAYS[way](registry.workbench(tenant))

    with ThreadPoolExecutor(threads) as workers:
        for tenant, found in workers.map(take, steps):
            assert found.height == TENANTS[tenant]
            for column in found.columns:
                assert found[column].str.starts_with(tenant).all(), (tenant, column)


def _open(world: SessionWorld, tenant: str, pool: Pool, cache: ExtractCache) -> Workbench:
    return world.open(tenant, pool=pool, cache=cache)
