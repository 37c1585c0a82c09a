"""What `workbench promote` tells of a promotion, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.core.errors import PromotionError, PromotionRunning, WorkbenchError
from pipeline.core.verdicts import Finding, VerdictState
from pipeline.promote.promotion import Hold, Promotion, PromotionState
from tests.factories import MOMENT
from workbench.cli import promote
from workbench.cli.actor import actor
from workbench.cli.app import app


class StubPromoter:
    """Answers one promotion, or raises, and keeps what it was asked for."""

    def __init__(self, outcome: Promotion | WorkbenchError) -> None:
        self.outcome = outcome
        self.asked: Mapping[str, Any] = {}

    def promote(self, *, tenants: Sequence[str] | None, full_refresh: bool, asked_by: str, progress: Any) -> Promotion:
        """Tell one step, and end as it was made to."""
        self.asked = {"tenants": tenants, "full_refresh": full_refresh, "asked_by": asked_by}
        progress("Looking for new data")
        if isinstance(self.outcome, WorkbenchError):
            raise self.outcome
        return self.outcome


def run(monkeypatch: pytest.MonkeyPatch, promoter: StubPromoter, *words: str) -> Result:
    """Run the command with this promoter in place of the real one."""
    monkeypatch.setattr(promote, "open_database", lambda _: nullcontext())
    monkeypatch.setattr(promote, "build_promoter", lambda *_, **__: promoter)
    return CliRunner().invoke(app, ["promote", *words])


def finding(rule: str, rows: int, **overrides: Any) -> Finding:
    """A stop rule of globex that failed for so many rows."""
    fields: dict[str, Any] = {
        "tenant_id": "globex",
        "boundary": "raw_to_facts",
        "rule": rule,
        "severity": "stop",
        "outcome": "failed",
        "failing_rows": rows,
        "detail": f"{rule} [detail]",
    }
    return Finding(**fields | overrides)


PUBLISHED = Promotion(
    id=7,
    state=PromotionState.PUBLISHED,
    as_of=MOMENT,
    promoted={"small": 2, "acme": 1500},
    rows_written={"fct_usage_events": 1502, "dim_users": 12},
    rows_deleted={"dim_users": 3},
    seconds={"plan": 0.1, "build": 6.25},
    warnings=("The cached view feature_ranking was not refreshed.",),
)
HELD = Promotion(
    id=8,
    state=PromotionState.PUBLISHED,
    as_of=MOMENT,
    held={
        "globex": Hold(
            state=VerdictState.FAILED,
            raw_rows=40,
            findings=(
                finding("clock_ahead", 5),
                finding("only_a_warning", 99, severity="warn"),
                finding("broken_rule", 0, severity="warn", outcome="errored"),
            ),
        ),
        "initech": Hold(state=VerdictState.EMPTY, raw_rows=3),
    },
)


def test_what_was_promoted_is_told_and_ends_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    promoter = StubPromoter(PUBLISHED)
    ended = run(monkeypatch, promoter, "--tenant", "acme", "--tenant", "small", "--full-refresh")
    assert ended.exit_code == 0
    assert promoter.asked == {"tenants": ["acme", "small"], "full_refresh": True, "asked_by": actor()}
    assert "1,502 events of 2 tenants promoted, 0 tenants held (plan 0.1 s, build 6.2 s)." in ended.stdout
    assert ended.stdout.index("acme") < ended.stdout.index("small"), "the heaviest first"
    assert "Looking for new data" in ended.stderr
    assert "Warning: The cached view feature_ranking" in ended.stderr


def test_held_tenants_are_told_with_their_reasons_and_end_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    promoter = StubPromoter(HELD)
    ended = run(monkeypatch, promoter)
    assert ended.exit_code == 3
    assert promoter.asked == {"tenants": None, "full_refresh": False, "asked_by": actor()}
    for told in (
        "raw_to_facts: clock_ahead",
        "clock_ahead [detail]",
        "raw_to_facts: broken_rule",
        "holds none of them",
    ):
        assert told in ended.stdout
    assert "only_a_warning" not in ended.stdout


def test_the_json_document_holds_all_of_it_and_standard_output_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    document = json.loads(run(monkeypatch, StubPromoter(HELD), "--json").stdout)
    assert document["held"]["initech"] == {"state": "empty", "raw_rows": 3, "findings": []}
    assert document["as_of"] == "2026-03-02T10:30:00Z"


def test_nothing_new_ends_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Promotion(id=9, state=PromotionState.NOTHING_NEW, as_of=MOMENT)
    ended = run(monkeypatch, StubPromoter(nothing))
    assert ended.exit_code == 0
    assert "nothing new" in ended.stdout


@pytest.mark.parametrize("error", [PromotionError("dbt: relation is missing.", remedy="Look."), PromotionRunning()])
def test_a_promotion_that_fails_ends_with_1(monkeypatch: pytest.MonkeyPatch, error: WorkbenchError) -> None:
    ended = run(monkeypatch, StubPromoter(error))
    assert ended.exit_code == 1
    assert error.message in ended.stderr
    assert ended.stdout == ""
