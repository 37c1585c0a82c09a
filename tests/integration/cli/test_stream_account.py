"""`workbench status`, `ledger` and `doctor` with a stream: what is in flight is part of the account."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipeline.core.clock import hour_of, utc_now
from pipeline.core.database import Database
from pipeline.stream.spool import Row, Spool
from tests.command_line import CommandLine
from tests.factories import event
from tests.integration.cli.conftest import environment, stream_environment
from tests.integration.cli.streaming import Stream

FIGURES = ("accepted", "stored", "duplicate", "dead_lettered", "in_flight")


@pytest.fixture(name="story")
def tell_story(streaming: CommandLine, stream: Stream, home: Path) -> CommandLine:
    """Of acme 3 landed, of which 1 again, 2 are in the topic and 1 in the spool; 1 of nobody; 1 foreign record."""
    streaming.run("tenants", "add", "acme")
    now = utc_now()
    again = event(received_at=now)
    stream.publish([event(received_at=now), again, again])
    stream.land()
    stream.publish(
        [event(received_at=now), event(received_at=now), event(tenant_id="nobody", received_at=now)],
        foreign=[(b"Not A Tenant", b"no event")],
    )
    spool = Spool(home / "spool", most_bytes=1 << 24)
    spool.append([Row("acme", 0, hour_of(now), b"{}")])
    spool.close()
    return streaming


def test_what_is_in_flight_is_counted_from_the_topic_and_the_spool(story: CommandLine, stream: Stream) -> None:
    found = story.json("status")
    assert {each["tenant_id"]: tuple(each[name] for name in FIGURES) for each in found["tenants"]} == {
        "acme": (6, 2, 1, 0, 3),
        "nobody": (1, 0, 0, 0, 1),
        "(malformed)": (1, 0, 0, 0, 1),
    }
    assert found["total"] | {"pending": 0} == {
        "accepted": 8, "stored": 2, "duplicate": 1, "dead_lettered": 0, "in_flight": 5, "pending": 0, "discarded": 0,
    }  # fmt: skip
    assert found["stream"] == {"topic": stream.topic, "problem": None, "gaps": []}

    stream.land()
    landed = story.json("status")["total"]
    assert tuple(landed[name] for name in FIGURES) == (8, 4, 1, 2, 1)


def test_the_ledger_holds_the_equation_in_every_line(story: CommandLine) -> None:
    found = story.json("ledger")
    assert found["problem"] is None
    for row in found["hours"]:
        assert row["accepted"] == row["stored"] + row["duplicate"] + row["dead_lettered"] + row["in_flight"]
    assert sum(row["accepted"] for row in found["hours"]) == 8
    acme = story.json("ledger", "--tenant", "acme", "--hours", "2")
    assert {row["tenant_id"] for row in acme["hours"]} == {"acme"}
    assert sum(row["in_flight"] for row in acme["hours"]) == 3
    printed = story.run("ledger").stdout
    assert "total" in printed
    assert "in_flight" in printed


def test_without_a_stream_nothing_is_in_flight(workbench: CommandLine) -> None:
    assert "Nothing was accepted" in workbench.run("ledger").stdout
    assert workbench.json("status")["stream"] is None


@pytest.mark.usefixtures("story")
def test_a_broker_that_is_away_makes_it_unknown_and_not_0(database: Database, home: Path, topic: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bootstrap = f"127.0.0.1:{taken.getsockname()[1]}"
    away = CommandLine(environment(database, home) | stream_environment(bootstrap, topic))
    found = away.json("status")
    assert (found["total"]["accepted"], found["total"]["in_flight"]) == (3, None)
    assert "No broker answers" in found["stream"]["problem"]
    ended = away.run("status")
    assert "Warning: what is in flight is not known. No broker answers" in ended.stderr
    assert {row["in_flight"] for row in away.json("ledger")["hours"]} == {None}
    assert "Warning" in away.run("ledger").stderr
    checks = {check["name"]: check for check in away.json("doctor", exits=1)}
    assert (checks["broker"]["state"], checks["landing"]["state"]) == ("fail", "warn")


def test_gaps_are_told(story: CommandLine, database: Database, stream: Stream) -> None:
    with database.connect_admin() as connection:
        connection.execute(
            "insert into control.stream_gaps values (%s, 1, 10, 35, 0), ('other', 0, 1, 2, 0)", (stream.topic,)
        )
    found = story.json("status")["stream"]["gaps"]
    assert [(gap["partition"], gap["first_offset"], gap["next_offset"]) for gap in found] == [(1, 10, 35)]
    assert f"25 records of {stream.topic}, partition 1, from offset 10, were removed" in story.run("status").stderr
    story.run("db", "migrate")
    checks = {check["name"]: check for check in story.json("doctor")}
    assert "25 records were removed" in checks["gaps"]["detail"]


def test_the_doctor_looks_at_the_stream_and_creates_nothing(streaming: CommandLine, stream: Stream) -> None:
    streaming.run("db", "migrate")
    before = {check["name"]: check for check in streaming.json("doctor")}
    assert (before["broker"]["state"], before["topic"]["state"]) == ("ok", "warn")
    assert "not there yet" in before["topic"]["detail"]

    stream.publish([event(), event(tenant_id="nobody")])
    waiting = {check["name"]: check for check in streaming.json("doctor")}
    assert waiting["topic"]["state"] == "ok"
    assert "2 records wait" in waiting["landing"]["detail"]
    streaming.run("tenants", "add", "acme")
    stream.land()
    after = {check["name"]: check for check in streaming.json("doctor")}
    assert (after["landing"]["state"], after["gaps"]["state"], after["spool"]["state"]) == ("ok", "ok", "ok")
    assert (after["dead letters"]["state"], after["dead letters"]["detail"]) == ("warn", "1 are open")
    assert all(check["remedy"] for check in after.values() if check["state"] != "ok")


def test_a_topic_that_is_not_as_it_must_be_is_told_with_the_remedy(
    stream: Stream, database: Database, home: Path
) -> None:
    stream.publish([event()])
    servers = stream.settings.kafka_bootstrap_servers or ""
    larger = (
        environment(database, home) | stream_environment(servers, stream.topic) | {"WORKBENCH_KAFKA_PARTITIONS": "5"}
    )
    checks = {check["name"]: check for check in CommandLine(larger).json("doctor", exits=1)}
    assert checks["topic"]["state"] == "fail"
    assert "partitions is 3, needed is 5 or more" in checks["topic"]["detail"]
    assert "--partitions 5" in checks["topic"]["remedy"]
