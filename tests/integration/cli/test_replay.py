"""`workbench replay`: the stream again changes nothing that is there, and brings back what was lost."""

from __future__ import annotations

import getpass
import os
import signal
from typing import Any

import pytest
from psycopg import sql

from pipeline.core.database import Database
from pipeline.land.landing import StreamLander
from pipeline.stream.delivery import Delivery, Settled
from tests.command_line import CommandLine
from tests.factories import event
from tests.integration.cli.streaming import Stream

RAW = "select to_jsonb(e) from raw.usage_events as e order by tenant_id, event_id"
# All but the transaction and the time of landing.
CONTENT = """
select tenant_id, event_id, event_type, occurred_at, received_at, user_id, session_id, properties, payload_hash
from raw.usage_events
order by tenant_id, event_id
"""
LETTERS = "select to_jsonb(d) from raw.dead_letters as d order by 1"
LEDGER = "select to_jsonb(l) from control.ingest_ledger as l order by tenant_id, hour"
OFFSETS = "select to_jsonb(o) from control.stream_offsets as o order by partition"
AUDIT = "select actor, action, details from control.audit_log order by audit_id"


def rows(database: Database, query: str) -> list[Any]:
    with database.connect_admin() as connection:
        return connection.execute(query.encode()).fetchall()


def state(database: Database) -> dict[str, list[Any]]:
    """All that a replay could change."""
    return {query: rows(database, query) for query in (RAW, LETTERS, LEDGER, OFFSETS)}


def marts(database: Database) -> dict[str, list[Any]]:
    """All marts."""
    with database.connect_admin() as connection:
        tables = connection.execute("select tablename from pg_tables where schemaname = 'marts' order by 1").fetchall()
        assert tables
        select = sql.SQL("select to_jsonb(m) from marts.{} as m order by 1::text")
        return {table: connection.execute(select.format(sql.Identifier(table))).fetchall() for (table,) in tables}


@pytest.fixture
def landed(streaming: CommandLine, stream: Stream) -> CommandLine:
    """500 events of two tenants, one of them twice, a conflict, an unknown tenant and a foreign record."""
    for tenant_id in ("acme", "globex"):
        streaming.run("tenants", "add", tenant_id)
    events = [event(tenant_id="acme" if number % 3 else "globex", user_id=f"u{number % 7}") for number in range(500)]
    conflict = event(event_id=events[1].event_id, user_id="other")
    stream.publish([*events, events[0], conflict, event(tenant_id="nobody")], foreign=[(b"acme", b"no event")])
    stream.land()
    return streaming


def test_a_whole_replay_leaves_raw_and_marts_byte_for_byte_as_they_were(
    landed: CommandLine, database: Database
) -> None:
    landed.run("promote")
    before, published = state(database), marts(database)
    found = landed.json("replay", "--from", "24h")
    assert (found["read"], found["stored"], found["dead_lettered"], found["complete"]) == (504, 0, 0, True)
    assert state(database) == before
    landed.run("promote", "--full-refresh")
    assert marts(database) == published

    [(actor, action, details)] = rows(database, AUDIT)
    assert (actor.split("@")[0], action) == (getpass.getuser(), "replay stream")
    assert details["result"]["read"] == 504


def test_what_was_deleted_comes_back_and_is_not_counted_twice(landed: CommandLine, database: Database) -> None:
    before = rows(database, CONTENT)
    with database.connect_admin() as connection:
        connection.execute("delete from raw.usage_events where tenant_id = 'globex' or user_id in ('u1', 'u2')")
        deleted = connection.execute("select count(*) from raw.usage_events").fetchone()
    assert deleted is not None
    missing = len(before) - deleted[0]
    assert missing > 100
    ended = landed.run("replay", "--from", "24h")
    assert f"504 records read again: {missing} stored" in ended.stdout
    assert rows(database, CONTENT) == before
    assert f"{missing} stored" not in landed.run("replay", "--from", "24h").stdout


def test_interrupted_it_ends_with_the_delivery_under_way_and_says_so(
    landed: CommandLine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_again = StreamLander.land_again

    def interrupted(lander: StreamLander, delivery: Delivery) -> Settled:
        os.kill(os.getpid(), signal.SIGINT)
        return land_again(lander, delivery)

    monkeypatch.setattr(StreamLander, "land_again", interrupted)
    before = state(database)
    found = landed.json("replay", "--from", "24h", exits=130)
    assert (found["read"], found["complete"]) == (504, False)
    assert state(database) == before
    [(_, _, details)] = rows(database, AUDIT)
    assert (details["complete"], details["result"]["read"]) == (False, 504)


def test_records_that_have_not_landed_are_left_to_the_consumer(
    landed: CommandLine, stream: Stream, database: Database
) -> None:
    stream.publish([event()])
    before = state(database)
    assert landed.json("replay", "--from", "24h")["read"] == 504
    assert state(database) == before
    assert landed.json("replay", "--from", "2000-01-01T00:00:00Z", "--to", "1h")["read"] == 0


def test_before_anything_was_published_there_is_nothing_to_replay(streaming: CommandLine) -> None:
    assert "0 records read again" in streaming.run("replay", "--from", "1h").stdout


def test_a_tenant_that_was_added_since_gets_its_events(landed: CommandLine, database: Database) -> None:
    landed.run("tenants", "add", "nobody")
    assert landed.json("replay", "--from", "1h")["stored"] == 1
    letters = rows(database, "select resolution from raw.dead_letters where tenant_id = 'nobody'")
    assert letters == [("stored",)]
    for _, _, accepted, stored, duplicate, dead_lettered in ledger(database):
        assert accepted == stored + duplicate + dead_lettered


def ledger(database: Database) -> list[Any]:
    query = "select tenant_id, hour, accepted, stored, duplicate, dead_lettered from control.ingest_ledger"
    return rows(database, query)
