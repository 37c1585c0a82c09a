"""Promotions that meet readers, each other, and their own death."""

from __future__ import annotations

import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import LiteralString

import psycopg
import pytest

from pipeline.core.database import ServiceRole
from pipeline.core.errors import DatabaseUnavailable, PromotionError, PromotionRunning
from pipeline.promote import ledger
from pipeline.promote.promotion import PromotionState
from tests.integration.promote.estate import CompiledBuilder
from tests.integration.promote.world import World, wait_until

PUBLISHED = "select count(*) from marts.fct_usage_events"
COUNTED = "select coalesce(sum(events), 0) from marts.tenant_usage_metrics"
BOTH = """
select
    (select count(*) from marts.fct_usage_events),
    (select coalesce(sum(events), 0) from marts.tenant_usage_metrics)
"""
CUT_OFF = """
select pg_terminate_backend(pid) from pg_stat_activity
where application_name = 'workbench_promotion' and datname = current_database()
"""
WAITS_FOR_A_ROW = """
select count(*) from pg_stat_activity
where application_name = 'workbench_promotion' and datname = current_database() and wait_event_type = 'Lock'
"""


def test_readers_never_see_facts_and_metrics_apart(world: World) -> None:
    world.tenants("watched")
    world.land("watched", 50)
    world.promote()
    with watched(world) as seen:
        for _ in range(3):
            world.land("watched", 200)
            world.promote()
            wait_until(lambda: {total for total, _ in seen} >= {world.value(PUBLISHED)})
    totals = {total for total, _ in seen}
    assert min(totals) >= 50
    assert len(totals) == 4
    assert [pair for pair in seen if pair[0] != pair[1]] == []


def test_a_promotion_does_not_wait_for_open_readers_nor_they_for_it(world: World) -> None:
    world.tenants("read")
    world.land("read", 5)
    world.promote()
    with world.database.connect(ServiceRole.BI) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = reader.execute(PUBLISHED).fetchone()
        world.land("read", 5)
        assert world.promote().promoted["read"] == 5
        assert world.promote(tenants=["read"], full_refresh=True).state is PromotionState.PUBLISHED
        assert reader.execute(PUBLISHED).fetchone() == before


def test_one_promotion_at_a_time_the_second_waits_or_names_the_first(world: World) -> None:
    world.tenants("contended")
    world.land("contended", 5)
    judging, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        judging.set()
        assert go_on.wait(20)

    world.gate.while_judging = pause
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(world.promote)
        assert judging.wait(30)
        with pytest.raises(PromotionRunning, match=rf"Promotion {world.last_promotion()}, since 20"):
            world.new_promoter(wait_seconds=0).promote()
        told: list[str] = []
        second = pool.submit(world.new_promoter().promote, progress=told.append)
        wait_until(lambda: told)
        go_on.set()
        assert first.result().promoted == {"contended": 5}
        assert second.result().state is PromotionState.NOTHING_NEW
    assert re.match(r"Promotion \d+, since .* is running; waiting for it", told[0])
    assert world.facts("contended") == 5


def test_a_promotion_killed_while_it_publishes_leaves_nothing_and_the_next_takes_over(world: World) -> None:
    world.tenants("killed")
    world.land("killed", 5)
    world.promote()
    before = world.contents("killed")
    world.land("killed", 6)
    with world.admin() as admin, killed_afterwards(world.promote) as process:
        # What is written last stops the promotion when the marts are written.
        admin.execute("select from control.promotion_progress where tenant_id = 'killed' for update")
        process.start()
        wait_until(lambda: world.value(WAITS_FOR_A_ROW) == 1, seconds=60)
        killed = world.last_promotion()
        process.kill()
        # The server lets go of its lock although the statement of the dead process still waits.
        wait_until(lambda: world.value(WAITS_FOR_A_ROW) == 0)
    assert world.contents("killed") == before
    assert world.promotion(killed)[0] == "judged"
    assert world.promote().promoted == {"killed": 6}
    assert world.promotion(killed) == ("failed", ledger.ENDED_WITHOUT_A_WORD)
    assert world.facts("killed") == 11


def test_a_promotion_that_lost_its_session_cannot_publish(world: World) -> None:
    world.tenants("cut-off")
    world.land("cut-off", 5)

    def cut_off() -> None:
        assert world.value(CUT_OFF)

    world.gate.while_judging = cut_off
    with pytest.raises(DatabaseUnavailable, match="'judge'"):
        world.promote()
    assert world.facts("cut-off") == 0
    world.gate.while_judging = lambda: None
    assert world.promote().promoted == {"cut-off": 5}


def test_a_build_that_failed_because_the_database_went_away_is_to_be_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.tenants("rebuilt")
    world.land("rebuilt", 5)

    def lose_the_database(builder: CompiledBuilder, **_: str) -> None:
        assert world.value(CUT_OFF)
        raise PromotionError(f"{builder} lost its connections as well.")

    with monkeypatch.context() as patched:
        patched.setattr(CompiledBuilder, "build", lose_the_database)
        with pytest.raises(DatabaseUnavailable, match="'build'"):
            world.promote()
    assert world.promote().promoted == {"rebuilt": 5}


def test_a_promotion_that_was_taken_over_cannot_publish(world: World) -> None:
    world.tenants("overtaken")
    world.land("overtaken", 5)

    def overtake(words: str) -> None:
        if words.startswith("Publishing"):
            with world.admin() as connection:
                ledger.take_over(connection)

    with pytest.raises(PromotionError, match=r"'publish': .* another has taken over"):
        world.promote(progress=overtake)
    assert world.facts("overtaken") == 0
    assert world.promote().promoted == {"overtaken": 5}


@contextmanager
def watched(world: World) -> Iterator[list[tuple[int, int]]]:
    """Two readers that look without pause, in one statement and in two of one snapshot: what each saw."""
    seen: list[tuple[int, int]] = []
    over = threading.Event()

    def look(isolation: psycopg.IsolationLevel, *queries: LiteralString) -> None:
        with world.database.connect(ServiceRole.BI) as reader:
            reader.isolation_level = isolation
            while not over.is_set():
                with reader.transaction():
                    rows = [reader.execute(query).fetchall()[0] for query in queries]
                seen.append(tuple(int(value) for row in rows for value in row))  # type: ignore[arg-type]

    with ThreadPoolExecutor(2) as pool:
        looks = [
            pool.submit(look, psycopg.IsolationLevel.READ_COMMITTED, BOTH),
            pool.submit(look, psycopg.IsolationLevel.REPEATABLE_READ, PUBLISHED, COUNTED),
        ]
        try:
            yield seen
        finally:
            over.set()
    for reader in looks:
        reader.result()


@contextmanager
def killed_afterwards(work: Callable[[], object]) -> Iterator[multiprocessing.process.BaseProcess]:
    """A process for this work that does not outlive the test, whatever becomes of it."""
    process = multiprocessing.get_context("fork").Process(target=work)
    try:
        yield process
    finally:
        process.kill()
        process.join()
