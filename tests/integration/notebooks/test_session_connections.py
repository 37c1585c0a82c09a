"""Connections of the read path: few, reused, replaced when dead, and never kept busy for longer than allowed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from pipeline.core.database import connect, without_password
from tests.integration.notebooks.session_world import ROWS, SessionWorld, new_session_world
from tests.integration.promote.world import wait_until
from workbench.session import (
    ConnectionLost,
    Progress,
    Reading,
    StatementCancelled,
    StatementTimeout,
    TooManyConnections,
    Workbench,
)
from workbench.session.connection import Connection
from workbench.session.pool import Pool, PoolLimits

ENDLESS = "select count(*) from generate_series(1, 1000000000000)"
LONG_ANSWER = "select n, repeat('x', 100) from generate_series(1, 1000000000) as n"
SERVER_CONNECTIONS = 10
"""That the server allows a tenant's login."""


@pytest.fixture(scope="module")
def world(cluster: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SessionWorld]:
    with new_session_world(cluster, template, tmp_path_factory.mktemp("extracts") / "mine") as world:
        yield world


@contextmanager
def opened(world: SessionWorld, tenant_id: str = "acme", **limits: float) -> Iterator[tuple[Workbench, Pool]]:
    """A workbench, and the pool that is its own."""
    with Pool(PoolLimits(**limits)) as pool, world.open(tenant_id, pool=pool) as wb:  # type: ignore[arg-type]
        yield wb, pool


def count_of(pool: Pool, world: SessionWorld, tenant_id: str = "acme") -> int:
    return pool.open_connections().get(without_password(world.url(tenant_id)), 0)


def test_statements_one_after_the_other_share_a_connection_and_threads_share_a_few(world: SessionWorld) -> None:
    with opened(world, per_login=2) as (wb, pool):
        backends = {wb.sql("select pg_backend_pid()").item() for _ in range(5)}
        assert len(backends) == 1
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: wb.sql("select pg_backend_pid() from pg_sleep(0.02)").item(), range(24)))
        assert len(set(found)) == 2
        assert count_of(pool, world) == 2


def test_who_finds_no_connection_free_waits_for_so_long_and_hears_why(world: SessionWorld) -> None:
    with opened(world, per_login=1, wait_seconds=0.3) as (wb, _):
        reading = Reading()
        busy = threading.Thread(target=_quietly, args=(lambda: wb.sql(ENDLESS, reading=reading),))
        busy.start()
        wait_until(lambda: reading.progress.seconds > 0)
        with pytest.raises(TooManyConnections, match=r"All 1 connections of this tenant were at work for 0\.3 seconds"):
            wb.sql("select 1")
        reading.cancel()
        busy.join(20)
        assert wb.sql("select 1").item() == 1


def test_all_tenants_together_have_a_limit_and_an_idle_connection_makes_room(world: SessionWorld) -> None:
    with (
        Pool(PoolLimits(total=2, wait_seconds=5)) as pool,
        world.open("acme", pool=pool) as acme,
        world.open("globex", pool=pool) as globex,
    ):
        for wb in (acme, globex, acme):
            assert wb.sql("select 1").item() == 1
        with ThreadPoolExecutor(4) as threads:
            pids = list(
                threads.map(lambda _: globex.sql("select pg_backend_pid() from pg_sleep(0.1)").item(), range(4))
            )
        assert len(set(pids)) == 2
        assert sum(pool.open_connections().values()) == 2
        assert acme.sql("select count(*) from fct_usage_events").item() == ROWS["acme"]


def test_an_idle_connection_is_closed_in_time(world: SessionWorld) -> None:
    with opened(world, idle_seconds=0.2) as (wb, pool):
        pid = wb.sql("select pg_backend_pid()").item()
        assert count_of(pool, world) == 1
        wait_until(lambda: not world.value("select count(*) from pg_stat_activity where pid = %s", pid))
        assert count_of(pool, world) == 0
        assert wb.sql("select pg_backend_pid()").item() != pid


def test_connections_that_a_restarting_server_ended_are_replaced_without_an_error(world: SessionWorld) -> None:
    with opened(world) as (wb, _):
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: wb.sql("select 1 from pg_sleep(0.2)"), range(4)))
        assert world.end_sessions("acme") >= 2
        assert wb.sql("select count(*) from fct_usage_events").item() == ROWS["acme"]


@pytest.mark.parametrize("query", [ENDLESS, LONG_ANSWER])
def test_a_connection_that_breaks_in_the_middle_is_one_clear_error(world: SessionWorld, query: str) -> None:
    with opened(world) as (wb, _):
        reading = Reading()
        ender = _when(lambda: reading.progress.seconds > 0.2, lambda: world.end_sessions("acme"))
        ender.start()
        with pytest.raises(ConnectionLost, match="went away while it answered"):
            wb.sql(query, reading=reading)
        ender.join(20)
        assert wb.sql("select 1").item() == 1


def test_a_server_that_is_not_there_is_told_without_the_password(world: SessionWorld) -> None:
    with Pool() as pool, world.open("acme", pool=pool) as wb:
        wb._url = "postgresql://someone:secret@127.0.0.1:1/none"
        with pytest.raises(
            ConnectionLost, match=r"does not answer at postgresql://someone@127\.0\.0\.1:1/none"
        ) as lost:
            wb.sql("select 1")
        assert "secret" not in str(lost.value)


def test_where_others_hold_all_that_the_server_allows_a_statement_waits_and_then_tells(world: SessionWorld) -> None:
    world.add_tenant("crowded", 1)
    with opened(world, "crowded", wait_seconds=0.5) as (wb, _), ExitStack() as others:
        for _ in range(SERVER_CONNECTIONS):
            held = others.enter_context(connect(world.url("crowded"), application="tests"))
        with pytest.raises(TooManyConnections, match="no connection left for this login"):
            wb.sql("select 1")
        freeing = threading.Timer(0.1, held.close)
        freeing.start()
        assert wb.sql("select 1").item() == 1
        freeing.join()


@pytest.mark.parametrize("query", [ENDLESS, LONG_ANSWER, "select pg_sleep(60)"])
@pytest.mark.parametrize("params", [[], [1]])
def test_a_statement_is_ended_from_outside_when_its_time_is_up(
    world: SessionWorld, query: str, params: list[object]
) -> None:
    asked = query if not params else f"select * from ({query}) as q where 1 = $1"  # noqa: S608 - the test's own text
    with opened(world) as (wb, pool):
        began = time.monotonic()
        with pytest.raises(StatementTimeout, match=r"ended after 0\.4 seconds"):
            wb.sql(asked, params, timeout_seconds=0.4)
        assert time.monotonic() - began < 4
        assert count_of(pool, world) == 0
        _wait_until_quiet(world)


def test_a_server_that_does_not_heed_the_cancellation_keeps_nobody_waiting(
    world: SessionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "cancel", lambda _: None)
    monkeypatch.setattr("workbench.session.reading.LEAVE_SECONDS", 0.2)
    with opened(world) as (wb, pool):
        began = time.monotonic()
        with pytest.raises(StatementTimeout):
            wb.sql("select pg_sleep(3)", timeout_seconds=0.3)
        assert time.monotonic() - began < 2
        assert count_of(pool, world) == 1, "whoever is still at work counts"
        wait_until(lambda: wb.sql("select 1").item() == 1)
    _wait_until_quiet(world)


def test_a_read_is_cancelled_from_another_thread_and_tells_its_progress_in_its_own(world: SessionWorld) -> None:
    told: list[tuple[int, Progress]] = []
    reading = Reading(lambda progress: told.append((threading.get_ident(), progress)))
    with opened(world) as (wb, _):
        canceller = _when(lambda: len(told) > 3, reading.cancel)
        canceller.start()
        with pytest.raises(StatementCancelled):
            wb.sql(LONG_ANSWER, reading=reading)
        canceller.join(20)
        assert {thread for thread, _ in told} == {threading.get_ident()}
        seconds = [progress.seconds for _, progress in told]
        assert seconds == sorted(seconds)
        with pytest.raises(StatementCancelled):
            wb.sql("select 1", reading=reading)
        assert wb.sql("select 1").item() == 1
        _wait_until_quiet(world)


def test_an_interrupt_of_the_one_who_waits_ends_the_statement(world: SessionWorld) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.seconds > 0.1:
            raise KeyboardInterrupt

    with opened(world) as (wb, pool):
        with pytest.raises(KeyboardInterrupt):
            wb.sql(LONG_ANSWER, reading=Reading(interrupt))
        assert count_of(pool, world) == 0
        _wait_until_quiet(world)


def test_progress_counts_rows_and_bytes_while_they_arrive(world: SessionWorld) -> None:
    told: list[Progress] = []
    with opened(world) as (wb, _):
        found = wb.sql(
            "select n, repeat('x', 200) as x from generate_series(1, 400000) as n", reading=Reading(told.append)
        )
    assert found.height == 400_000
    assert [each.rows for each in told] == sorted(each.rows for each in told)
    assert told[-1].rows > 0
    assert told[-1].bytes > 100 * told[-1].rows


def test_a_workbench_cancels_all_that_it_reads_and_nothing_of_another(world: SessionWorld) -> None:
    with opened(world) as (wb, _), opened(world, "globex") as (other, _), ThreadPoolExecutor(3) as threads:
        readings = [Reading(), Reading(), Reading()]
        running = [
            threads.submit(lambda each=each, reading=reading: each.sql(ENDLESS, reading=reading))  # type: ignore[misc]
            for each, reading in zip((wb, wb, other), readings, strict=True)
        ]
        wait_until(lambda: all(reading.progress.seconds > 0.1 for reading in readings))
        assert wb.cancel() == 2
        assert all(isinstance(each.exception(20), StatementCancelled) for each in running[:2])
        assert not running[2].done()
        assert other.cancel() == 1
        assert isinstance(running[2].exception(20), StatementCancelled)


def _quietly(work: Callable[[], object]) -> None:
    with pytest.raises(StatementCancelled):
        work()


def _when(condition: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    """A thread that acts once the condition holds."""

    def wait_and_act() -> None:
        wait_until(condition)
        act()

    return threading.Thread(target=wait_and_act)


def _wait_until_quiet(world: SessionWorld) -> None:
    """Until the server works on no tenant's statement any more."""
    active = "select count(*) from pg_stat_activity where usename like 't\\_%%' and state = 'active'"
    wait_until(lambda: world.value(active) == 0)
