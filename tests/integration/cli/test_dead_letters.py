"""`workbench deadletters`: every letter is found, seen and replayed once, and who did it is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.factories import event
from tests.integration.cli.streaming import Stream

ORIGINAL = '{"event_type": "page_view", "user_id": "ü", "event_id": "%s"}'
BINARY = b"\xff\xfe no event \x00"


def sent(tenant_id: str, **fields: Any) -> Any:
    """An event whose original bytes make it again."""
    made = event(tenant_id=tenant_id, **fields)
    return event(tenant_id=tenant_id, event_id=made.event_id, original=(ORIGINAL % made.event_id).encode(), **fields)


@pytest.fixture
def story(streaming: CommandLine, stream: Stream) -> CommandLine:
    """Acme: one stored, one conflict, one record without event; nobody: three events."""
    streaming.run("tenants", "add", "acme")
    first = sent("acme")
    stream.publish(
        [first, sent("acme", user_id="other"), *(sent("nobody") for _ in range(3))], foreign=[(b"acme", BINARY)]
    )
    stream.publish([event(event_id=first.event_id, user_id="third", original=first.original)])
    stream.land()
    return streaming


def test_letters_are_listed_by_tenant_and_reason_with_the_record_they_came_in(
    story: CommandLine, stream: Stream
) -> None:
    found = story.json("deadletters", "list")
    assert found["total"] == 5
    reasons = sorted((letter["tenant_id"], letter["reason"]) for letter in found["letters"])
    assert reasons == [("acme", "conflict"), ("acme", "undecodable"), *[("nobody", "unknown_tenant")] * 3]
    assert {letter["topic"] for letter in found["letters"]} == {stream.topic}
    assert story.json("deadletters", "list", "--tenant", "acme")["total"] == 2
    assert story.json("deadletters", "list", "--reason", "conflict")["total"] == 1
    assert story.json("deadletters", "list", "--tenant", "acme", "--reason", "unknown_tenant")["total"] == 0
    printed = story.run("deadletters", "list", "--limit", "2").stdout
    assert f"{stream.topic}/" in printed
    assert "... and 3 more" in printed


def test_a_letter_is_shown_with_its_bytes_as_text_or_as_a_dump(story: CommandLine) -> None:
    by_reason = {letter["reason"]: letter for letter in story.json("deadletters", "list")["letters"]}
    text = story.run("deadletters", "show", by_reason["unknown_tenant"]["dead_letter_id"]).stdout
    assert '"user_id": "ü"' in text
    assert "record_offset" in text
    dump = story.run("deadletters", "show", by_reason["undecodable"]["dead_letter_id"]).stdout
    assert "00000000  ff fe 20 6e 6f 20 65 76 65 6e 74 20 00" in dump
    document = story.json("deadletters", "show", by_reason["undecodable"]["dead_letter_id"])
    assert (document["original"], bytes.fromhex(document["original_hex"])) == (None, BINARY)
    unknown = story.run("deadletters", "show", "00000000-0000-4000-8000-000000000000", exits=1)
    assert "workbench deadletters list" in unknown.stderr


def test_what_can_be_stored_after_a_repair_is_stored_once_and_the_rest_says_why_it_stays(
    story: CommandLine, database: Database
) -> None:
    nothing = story.run("deadletters", "replay", "--tenant", "nobody")
    assert "3 dead letters tried: 0 stored, 0 duplicate, 3 remain." in nothing.stdout
    assert "there is no tenant of this id" in nothing.stdout

    story.run("tenants", "add", "nobody")
    found = story.json("deadletters", "replay")
    assert (found["tried"], found["stored"], found["duplicate"], found["remaining"]) == (5, 3, 0, 2)
    assert {reason["reason"]: reason["letters"] for reason in found["reasons"]} == {"conflict": 1, "undecodable": 1}
    assert story.json("deadletters", "replay", "--tenant", "nobody")["tried"] == 0
    assert story.json("deadletters", "list")["total"] == 2
    resolved = story.json("deadletters", "list", "--all", "--tenant", "nobody")["letters"]
    assert {(letter["resolution"], letter["replays"]) for letter in resolved} == {("stored", 2)}

    with database.connect_admin() as connection:
        stored = connection.execute("select count(*) from raw.usage_events where tenant_id = 'nobody'").fetchone()
        audit = connection.execute("select action, tenant_id from control.audit_log").fetchall()
    assert stored == (3,)
    assert ("replay dead letters", "nobody") in audit
    total = story.json("status")["total"]
    assert (total["accepted"], total["stored"], total["dead_lettered"], total["in_flight"]) == (7, 5, 2, 0)


def test_one_letter_is_replayed_by_its_id(story: CommandLine) -> None:
    story.run("tenants", "add", "nobody")
    letters = story.json("deadletters", "list", "--tenant", "nobody")["letters"]
    ended = story.run("deadletters", "replay", letters[0]["dead_letter_id"])
    assert "1 dead letter tried: 1 stored" in ended.stdout
    assert story.json("deadletters", "list", "--tenant", "nobody")["total"] == 2
    assert "is no dead letter's id" in story.run("deadletters", "replay", "first", exits=2).stderr


def test_all_of_them_are_replayed_only_after_a_question(story: CommandLine) -> None:
    assert "Aborted" in story.run("deadletters", "replay", exits=1, given="n\n").stderr
    assert {letter["replays"] for letter in story.json("deadletters", "list")["letters"]} == {0}
    assert "5 dead letters tried" in story.run("deadletters", "replay", given="y\n").stdout
    assert "5 dead letters tried" in story.run("deadletters", "replay", "--yes").stdout


def test_without_letters_it_says_so(workbench: CommandLine) -> None:
    assert "There are no dead letters." in workbench.run("deadletters", "list").stdout
    assert "No dead letter of this choice is open." in workbench.run("deadletters", "replay").stdout
    assert json.loads(workbench.run("deadletters", "replay", "--json").stdout)["tried"] == 0
