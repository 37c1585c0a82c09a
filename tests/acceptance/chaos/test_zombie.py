"""A consumer that was taken for dead, and is not, writes nothing; then it is a member like any other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event as Signal
from typing import Any

import pytest

from tests.acceptance.chaos.consuming import APPLICATION
from tests.acceptance.chaos.processes import Service
from tests.acceptance.chaos.system import SESSION_SECONDS, System, running_system
from tests.acceptance.chaos.traffic import Traffic
from tests.acceptance.chaos.verdict import judge
from tests.kafka import NewBroker

# The first thing that landing reads, in its transaction; nothing is written by then.
HOLD_LANDING = "lock table control.tenants in access exclusive mode"
WAITS = "select count(*) from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
WRITTEN = """
select
    (select count(*) from raw.usage_events),
    (select max(landed_xid::text::bigint) from raw.usage_events),
    (select count(*) from raw.dead_letters),
    (select sum(accepted) from control.ingest_ledger),
    (select array_agg(next_offset order by partition) from control.stream_offsets)
"""


@pytest.fixture
def system(tmp_path: Path, new_broker: NewBroker) -> Iterator[System]:
    """One process of the API, two consumers."""
    with running_system(tmp_path, new_broker) as system:
        system.start_api()
        system.start_consumer()
        system.start_consumer()
        yield system


def test_a_zombie_that_is_resumed_writes_nothing_and_recovers(system: System, seed: int, zombie_seconds: int) -> None:
    traffic = Traffic(system, Random(seed))
    zombie, successor = system.consumers
    system.wait_until_ready()
    with traffic.flowing():
        system.wait_for(lambda: system.landed_by(zombie) and system.landed_by(successor), "both to land")
        stop_while_it_lands(system, zombie)
        assignments, landed = successor.told("assigned:"), system.landed_by(successor)
        Signal().wait(max(zombie_seconds, SESSION_SECONDS + 3))
        system.wait_for(lambda: successor.told("assigned:") > assignments, "the successor to take over")
        system.wait_for(lambda: system.landed_by(successor) > landed, "the successor to land")
    system.wait_until_landed()

    before, told, assignments = written(system), system.landed_by(zombie), zombie.told("assigned:")
    zombie.resume()
    system.wait_for(lambda: zombie.told("assigned:") > assignments, "the zombie to be a member again")
    assert written(system) == before
    assert system.landed_by(zombie) == told

    with traffic.flowing():
        system.wait_for(lambda: traffic.is_well() and system.landed_by(zombie) > told, "the zombie to land again")
    system.wait_until_landed()
    findings = judge(system, traffic)
    print(f"{findings.rows:,} stored, {findings.records:,} records; written by the zombie when resumed: nothing")


def stop_while_it_lands(system: System, consumer: Service) -> None:
    """Stop it in the middle of a landing: its transaction has begun, and it has records in hand."""
    with system.database.connect_admin() as holding, system.database.connect_admin(autocommit=True) as watching:
        holding.execute(HOLD_LANDING)
        everyone = [(len(system.consumers),)]
        system.wait_for(lambda: watching.execute(WAITS, (APPLICATION,)).fetchall() == everyone, "a landing under way")
        consumer.pause()


def written(system: System) -> list[tuple[Any, ...]]:
    """What landing has written, in numbers."""
    with system.database.connect_admin() as connection:
        return connection.execute(WRITTEN).fetchall()
