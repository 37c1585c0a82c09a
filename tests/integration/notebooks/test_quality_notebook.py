"""A steward's decision from the page to the marts: the real command line, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import marimo as mo
import pytest
from msgspec.structs import replace

from pipeline.core.database import Database, connect
from tests.command_line import CommandLine
from tests.integration.cli.conftest import environment
from tests.integration.cli.test_holds import land
from workbench.notebooks import quality
from workbench.people.register import add_user, set_user
from workbench.stewards import Decisions, Desk, Outcome, Process, Request, Steward, install, steward_of
from workbench.stewards.decision import new_token

pytestmark = pytest.mark.long

MIRA = "mira@example.com"


@pytest.fixture
def workbench(database: Database, tmp_path: Path) -> CommandLine:
    """Acme is published; globex is held for two of its five events."""
    command_line = CommandLine(environment(database, tmp_path / "home"))
    for tenant in ("acme", "globex"):
        command_line.run("tenants", "add", tenant)
    land(database, "acme", good=3)
    land(database, "globex", good=3, ahead=2)
    command_line.run("promote", exits=3)
    return command_line


@pytest.fixture
def steward(workbench: CommandLine, database: Database, tmp_path: Path) -> Iterator[Steward]:
    """Mira, signed in at a notebook server on this database."""
    assert workbench.json("holds", "list")
    add_user(database, MIRA, role="steward", password=None, actor="tests")
    settings = {name: value for name, value in environment(database, tmp_path / "home").items() if value}
    install(Desk(database, Decisions(Process(os.environ | settings))))
    user = {"user_id": "1", "email": MIRA, "role": "steward", "tenant_id": None}
    yield steward_of(SimpleNamespace(user=user))
    install(None)


def decided(steward: Steward, action: str, *, reason: str = "A test bench.", token: str | None = None) -> Request:
    """A decision about globex as it is held now."""
    hold = steward.hold("globex").hold
    return Request(
        token=token or new_token(),
        action=action,  # type: ignore[arg-type]
        tenant_id="globex",
        hold_id=hold.hold_id,
        promotion_id=hold.promotion_id,
        reason=reason,
    )


def facts(database: Database) -> int:
    """Globex's published events."""
    return int(_rows(database, "select count(*) from marts.fct_usage_events where tenant_id = 'globex'")[0][0])


def decisions(database: Database) -> list[tuple[Any, ...]]:
    """Who did what about globex, and why."""
    query = "select actor, action, details ->> 'reason' from control.audit_log where tenant_id = 'globex' and "
    return _rows(database, query + "action ~ 'hold|discard' order by audit_id")


def test_a_release_is_the_signed_in_persons_and_happens_once(steward: Steward, database: Database) -> None:
    page = shown(steward)
    assert "Decide about globex" in page
    assert "clock_is_not_ahead" in page
    steps: list[str] = []
    asked = decided(steward, "release", reason="--yes, \u201creally\u201d")
    outcome = steward.decide(asked, steps.append)
    assert (outcome.ended, outcome.told) == ("done", "5 events of globex published by promotion 2.")
    assert any("Building candidates" in step for step in steps)
    assert steward.decide(asked) == outcome
    assert facts(database) == 5
    assert decisions(database) == [(MIRA, "release hold", "--yes, \u201creally\u201d")]
    assert steward.promotions()[0].asked_by == MIRA
    assert [hold.decided_by for hold in steward.report(1).tenants[0].holds] == [MIRA]
    assert "Nobody is held" in shown(steward)


def test_what_was_not_seen_is_not_decided(steward: Steward, workbench: CommandLine, database: Database) -> None:
    seen = decided(steward, "release")
    again = decided(steward, "rerun")
    held = steward.decide(again)
    assert held.ended == "held"
    assert "globex is held again, by promotion 2: clock_is_not_ahead (2 failing rows)" in held.told
    outcome = steward.decide(seen)
    assert (outcome.ended, "judged again meanwhile, by promotion 2" in outcome.told) == ("refused", True)
    assert facts(database) == 0
    discard = decided(steward, "discard", reason="Load test.")
    assert steward.decide(discard).told.startswith("5 events of globex discarded")
    late = replace(discard, token=new_token(), action="release")
    assert "not held any more" in steward.decide(late).told
    assert [each[:2] for each in decisions(database)] == [(MIRA, "rerun hold"), (MIRA, "discard events")]
    assert workbench.json("holds", "list") == []


@pytest.mark.parametrize("change", [{"role": "analyst", "tenant_id": "acme"}, {"status": "disabled"}])
def test_who_may_not_decide_any_more_decides_nothing(
    steward: Steward, database: Database, change: dict[str, str]
) -> None:
    set_user(database, MIRA, actor="tests", **change)  # type: ignore[arg-type]
    outcome = steward.decide(decided(steward, "discard"))
    assert outcome == Outcome(
        request=outcome.request,
        ended="refused",
        told=f"{MIRA} may not decide about held tenants.",
        remedy="Ask an administrator.",
    )
    assert len(steward.holds()) == 1
    assert decisions(database) == []


def shown(steward: Steward) -> str:
    """The page as it opens."""
    outputs, _ = quality.app.run(defs={"steward": steward})
    return "".join(mo.as_html(output).text for output in outputs if output is not None)


def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with connect(database.admin_url, application="tests") as connection:
        return connection.execute(query.encode()).fetchall()
