"""A steward's day on the command line, with dbt and Great Expectations as they are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.land.landing import Lander
from tests.command_line import CommandLine
from tests.factories import event

AHEAD = timedelta(days=2)
BEHIND = -timedelta(minutes=5)
COUNT = "select count(*) from fct_usage_events"


def land(database: Database, tenant: str, *, good: int = 0, ahead: int = 0) -> list[UUID]:
    """Land events whose clock is right, and some whose clock is days ahead; answers the latter."""
    now = utc_now()
    wrong = [uuid4() for _ in range(ahead)]
    events = [event(tenant_id=tenant, received_at=now, occurred_at=now + BEHIND) for _ in range(good)]
    events += [event(tenant_id=tenant, event_id=each, received_at=now, occurred_at=now + AHEAD) for each in wrong]
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    lander.land(events)
    lander.close()
    return wrong


@pytest.fixture
def held(workbench: CommandLine, database: Database) -> CommandLine:
    """Acme is published; globex is held for two of its five events, and one more has landed since."""
    for tenant in ("acme", "globex"):
        workbench.run("tenants", "add", tenant)
    land(database, "acme", good=3)
    land(database, "globex", good=3, ahead=2)
    workbench.run("promote", exits=3)
    land(database, "globex", good=1)
    return workbench


def facts(workbench: CommandLine, tenant: str) -> int:
    """How many events the tenant itself sees."""
    return int(workbench.json("sql", "--tenant", tenant, COUNT)["rows"][0][0])


def test_a_hold_is_shown_with_its_reason_and_released_for_what_was_judged(held: CommandLine) -> None:
    [line] = held.json("holds", "list")
    assert (line["tenant_id"], line["events"], line["events_since"]) == ("globex", 5, 1)
    assert line["rules"] == ["clock_is_not_ahead"]
    shown = held.run("holds", "show", "globex").stdout
    assert "raw_to_facts: clock_is_not_ahead stops. 2 failing rows." in shown
    assert "fct_usage_events" in shown
    assert "not held" in held.run("holds", "show", "acme", exits=1).stderr

    released = held.json("holds", "release", "globex", "--reason", "A test bench.")
    assert released["promoted"] == {"globex": 5}
    assert facts(held, "globex") == 5
    assert held.json("holds", "list") == []
    assert held.json("promote")["promoted"] == {"globex": 1}
    assert [(line["promoted"], line["held"]) for line in held.json("promotions", "list")] == [(1, 0), (1, 0), (1, 1)]


def test_bad_events_are_discarded_and_the_rest_goes_through(
    workbench: CommandLine, database: Database, tmp_path: Path
) -> None:
    workbench.run("tenants", "add", "globex")
    wrong = land(database, "globex", good=3, ahead=2)
    workbench.run("promote", exits=3)
    file = tmp_path / "ids"
    file.write_text("\n".join(map(str, wrong)))
    words = ("holds", "discard", "globex", "--events-from", str(file), "--reason", "Wrong clock.")
    assert "aborted" in workbench.run(*words, exits=1, given="n\n").output.lower()
    assert workbench.json(*words, "--yes") == {
        "tenant_id": "globex", "hold_id": 1, "events": 2, "closed": False,
    }  # fmt: skip
    assert workbench.json("holds", "rerun", "globex")["promoted"] == {"globex": 3}
    [tenant] = workbench.json("status")["tenants"]
    assert (tenant["stored"], tenant["pending"], tenant["discarded"]) == (5, 0, 2)
    file.write_text("no id\n")
    assert "no event id" in workbench.run(*words, "--yes", exits=2).stderr


@pytest.mark.long
def test_a_promotion_is_looked_at_and_taken_back(held: CommandLine, database: Database) -> None:
    land(database, "acme", good=2)
    second = held.json("promote", "--tenant", "acme")["id"]
    shown = held.json("promotions", "show", str(second))
    assert [(tenant["tenant_id"], tenant["promoted"]) for tenant in shown["tenants"]] == [("acme", True)]
    changes = held.json("promotions", "diff", str(second), "--tenant", "acme", "--mart", "dim_users")
    assert [(row["inserted"], row["updated"]) for row in changes["changes"]] == [(0, 1)]
    [row] = changes["rows"]
    assert (row["before"]["events"], row["after"]["events"]) == (3, 5)
    assert "dim_users ~" in held.run("promotions", "diff", str(second), "--tenant", "acme").stdout
    assert "there is no mart nothing" in held.run("promotions", "diff", "1", "--mart", "nothing", exits=2).stderr

    refused = held.run("rollback", "1", "--reason", "Wrong.", "--yes", exits=1).stderr
    assert f"Later promotions build on promotion 1: {second} of acme" in refused
    assert facts(held, "acme") == 5
    done = held.json("rollback", str(second), "--reason", "Wrong.", "--yes")
    assert (done["undone"], done["tenants"]) == ([second], ["acme"])
    assert facts(held, "acme") == 3
    freshness = held.json("sql", "--tenant", "acme", "select promotion_id, held from freshness")["rows"]
    assert freshness == [[1, True]]
    # What is rolled back waits for a decision.
    assert "acme" in held.json("promote", exits=3)["waiting"]
    assert held.json("holds", "rerun", "acme", "--reason", "Mended.")["promoted"] == {"acme": 2}
    assert "no promotion 99" in held.run("promotions", "show", "99", exits=1).stderr
