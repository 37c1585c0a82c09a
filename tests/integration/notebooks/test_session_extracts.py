"""Tables as local files: the same for as long as the published data is, another as soon as it is not."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipeline.core.tenants import tenant_login
from tests.integration.notebooks.session_world import ROWS, SessionWorld, new_session_world
from workbench.session import Progress, Reading, Workbench
from workbench.session.extracts import ExtractCache

EVENTS = "fct_usage_events"
RESTORE = (
    "update control.promotion_progress set promotion_id = %s, as_of = %s::timestamptz where tenant_id = %s returning 1"
)


@pytest.fixture(scope="module")
def world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    with new_session_world(cluster, template, tmp_path_factory.mktemp("extracts") / "mine") as world:
        yield world


@pytest.fixture
def cache(tmp_path: Path) -> ExtractCache:
    return ExtractCache(tmp_path / "extracts")


def made(cache_folder: Path) -> list[Path]:
    return sorted(cache_folder.glob("*/*.parquet"))


def test_a_table_is_the_rows_of_its_view_with_the_documented_types(world: SessionWorld, cache: ExtractCache) -> None:
    with world.open("acme", cache=cache) as wb:
        table = wb.table(EVENTS).collect()
        asked = wb.sql(f"table {EVENTS}")
        assert table.schema == asked.schema
        assert table.sort("event_id").equals(asked.sort("event_id"))
        assert wb.duckdb([EVENTS]).view(EVENTS).pl().schema.names() == table.schema.names()
        assert table.schema["event_id"] == table.schema["properties"] == pl.String
        assert table.schema["occurred_on"] == pl.Date
        assert table.schema["lag_seconds"] == pl.Float64


def test_a_promotion_makes_another_extract_and_its_undoing_brings_the_first_back(
    world: SessionWorld, cache: ExtractCache, tmp_path: Path
) -> None:
    world.add_tenant("undone", 10)
    with world.open("undone", cache=cache) as wb:
        before = wb.freshness()
        first = wb.table(EVENTS)
        assert (first.collect().height, wb.table(EVENTS).collect().height, len(made(tmp_path))) == (10, 10, 0)
        assert len(made(tmp_path / "extracts")) == 1
        world.publish("undone", 5)
        assert wb.table(EVENTS).collect().height == 15
        assert first.collect().height == 10, "a frame stays what it is"
        with world.database.connect_admin() as admin:
            admin.execute("delete from marts.fct_usage_events where tenant_id = 'undone'")
            admin.execute(RESTORE.encode(), (before.promotion_id, before.as_of, "undone"))
        assert wb.table(EVENTS).collect().height == 10, "the file of that state is still there"
        assert len(made(tmp_path / "extracts")) == 2


def test_what_changes_without_a_promotion_is_never_kept(world: SessionWorld, cache: ExtractCache) -> None:
    world.add_tenant("fresh", 1)
    with world.open("fresh", cache=cache) as wb:
        assert wb.table("freshness").collect()["held"].to_list() == [False]
        world.value("update control.promotion_progress set held_since = now() where tenant_id = 'fresh' returning 1")
        assert wb.table("freshness").collect()["held"].to_list() == [True]
        assert wb.freshness().held
        assert wb.table("feature_ranking").collect().is_empty()
        world.value(
            "insert into marts.dim_tenants (tenant_id, display_name, events, users, sessions) "
            "values ('fresh', 'Fresh', 1, 1, 0) returning 1"
        )
        world.value(
            "insert into marts.feature_adoption (tenant_id, event_type, adopters, events, first_used_at, last_used_at) "
            "values ('fresh', 'a', 1, 1, now(), now()) returning 1"
        )
        with world.database.connect_admin(autocommit=True) as admin:
            admin.execute("refresh materialized view cache.feature_ranking")
        assert wb.table("feature_ranking").collect()["event_type"].to_list() == ["a"]


def test_state_and_rows_are_of_one_snapshot_while_promotions_go_on(world: SessionWorld, cache: ExtractCache) -> None:
    world.add_tenant("busy", 1)
    ended = threading.Event()

    def promote() -> None:
        while not ended.is_set():
            world.publish("busy", 1)

    first = world.value("select promotion_id from control.promotion_progress where tenant_id = 'busy'")
    promoting = threading.Thread(target=promote)
    promoting.start()
    try:
        with world.open("busy", cache=cache) as wb:
            for _ in range(15):
                before = wb.freshness().promotion_id
                rows = wb.table(EVENTS).collect().height
                after = wb.freshness().promotion_id
                assert before is not None
                assert after is not None
                assert before - first <= rows - 1 <= after - first
    finally:
        ended.set()
        promoting.join(20)


def test_an_extract_belongs_to_the_login_not_to_the_tenants_name(world: SessionWorld, cache: ExtractCache) -> None:
    world.add_tenant("reused", 3)
    with world.open("reused", cache=cache) as wb:
        before, rows = wb.freshness(), wb.table(EVENTS).collect().height
    login = tenant_login(world.database, "reused")
    with world.database.connect_admin() as admin:
        for table in (
            "marts.fct_usage_events",
            "control.tenant_logins",
            "control.promotion_progress",
            "control.tenants",
        ):
            admin.execute(f"delete from {table} where tenant_id = 'reused'".encode())  # noqa: S608
    world.add_tenant("reused", 8)
    with world.database.connect_admin() as admin:
        admin.execute(RESTORE.encode(), (before.promotion_id, before.as_of, "reused"))
    assert tenant_login(world.database, "reused") != login
    with world.open("reused", cache=cache) as wb:
        assert (rows, wb.freshness(), wb.table(EVENTS).collect().height) == (3, before, 8)


def test_tenants_of_one_cache_have_no_file_in_common(world: SessionWorld, cache: ExtractCache, tmp_path: Path) -> None:
    with world.open("acme", cache=cache) as acme, world.open("globex", cache=cache) as globex:
        for wb in (acme, globex):
            canaries = wb.table(EVENTS).select(pl.col("event_type").unique()).collect()["event_type"].to_list()
            assert canaries == [f"{wb.tenant_id}-canary"]
    folders = {path.parent: pl.read_parquet(path).height for path in made(tmp_path / "extracts")}
    assert sorted(folders.values()) == sorted(ROWS.values())


def test_a_workbench_holds_what_it_gave_out_until_it_is_closed(world: SessionWorld, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    small = ExtractCache(folder, most_bytes=1)
    with world.open("acme", cache=small) as acme:
        frame = acme.table(EVENTS)
        with world.open("globex", cache=small) as globex:
            globex.table(EVENTS)
            assert frame.collect().height == ROWS["acme"]
        assert len(made(folder)) == 2
    with world.open("globex", cache=small) as globex:
        globex.table("dim_users")
    assert len(made(folder)) == 1


def test_a_folder_that_somebody_emptied_is_filled_again(world: SessionWorld, tmp_path: Path) -> None:
    folder = tmp_path / "emptied"
    with world.open("acme", cache=ExtractCache(folder)) as wb:
        wb.table(EVENTS)
        shutil.rmtree(folder)
        assert wb.table(EVENTS).collect().height == ROWS["acme"]


def test_duckdb_reads_the_tables_and_nothing_else(world: SessionWorld, cache: ExtractCache, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with world.open("acme", cache=cache) as wb, world.open("globex", cache=cache) as other:
        other.table(EVENTS)
        database = wb.duckdb()
        assert database.sql(f"select distinct event_type from {EVENTS}").fetchall() == [("acme-canary",)]  # noqa: S608
        assert database.sql("select held from freshness").fetchall() == [(False,)]
        assert len(database.sql("show tables").fetchall()) == wb.tables()["table"].n_unique()
        [foreign] = [path for path in made(tmp_path / "extracts") if pl.read_parquet(path).height == ROWS["globex"]]
        for statement in (
            f"from read_parquet('{foreign}')",
            f"from '{tmp_path}/secret.csv'",
            "from read_text('/etc/passwd')",
            f"copy (select 1) to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/out.db'",
            "set enable_external_access = true",
            "set allowed_paths = ['/etc/passwd']",
            "install httpfs",
        ):
            with pytest.raises(duckdb.Error):
                database.execute(statement)


def test_a_long_read_tells_its_progress(world: SessionWorld, cache: ExtractCache) -> None:
    world.add_tenant("large", 120_000)
    told: list[Progress] = []
    reading = Reading(told.append)
    with world.open("large", cache=cache) as wb:
        assert wb.table(EVENTS, reading=reading).select(pl.len()).collect().item() == 120_000
    assert reading.progress.rows == 120_000
    assert [each.rows for each in told] == sorted(each.rows for each in told)


def test_many_threads_read_many_tables_at_once(world: SessionWorld, cache: ExtractCache) -> None:
    with world.open("acme", cache=cache) as wb:
        names = wb.tables()["table"].unique().to_list()
        found: dict[str, int] = {}

        def read(name: str, wb: Workbench = wb) -> None:
            found[name] = wb.table(name).collect().height

        threads = [threading.Thread(target=read, args=(name,)) for name in names * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert found.keys() == set(names)
        assert found[EVENTS] == ROWS["acme"]
