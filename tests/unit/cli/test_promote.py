"""What `workbench promote` tells of a promotion, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import msgspec
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

    def promote(self, *, progress: Any, **asked: Any) -> Promotion:
        """Tell one step, and end as it was made to."""
        self.asked = asked
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


ASKED: Mapping[str, Any] = {
    "tenants": None,
    "full_refresh": False,
    "asked_by": actor(),
    "key": None,
    "until": PromotionState.PUBLISHED,
}
"""What the promoter is asked for without options."""

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
    assert promoter.asked == {**ASKED, "tenants": ["acme", "small"], "full_refresh": True}
    assert "1,502 events of 2 tenants promoted, 0 tenants held (plan 0.1 s, build 6.2 s)." in ended.stdout
    assert ended.stdout.index("acme") < ended.stdout.index("small"), "the heaviest first"
    assert "Looking for new data" in ended.stderr
    assert "Warning: The cached view feature_ranking" in ended.stderr


def test_held_tenants_are_told_with_their_reasons_and_end_with_3(monkeypatch: pytest.MonkeyPatch) -> None:
    promoter = StubPromoter(HELD)
    ended = run(monkeypatch, promoter)
    assert ended.exit_code == 3
    assert promoter.asked == ASKED
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


@pytest.mark.parametrize(
    ("error", "code"), [(PromotionError("dbt: relation is missing.", remedy="Look."), 1), (PromotionRunning(), 75)]
)
def test_a_promotion_that_fails_ends_with_1_or_with_75_where_trying_again_may_help(
    monkeypatch: pytest.MonkeyPatch, error: WorkbenchError, code: int
) -> None:
    ended = run(monkeypatch, StubPromoter(error))
    assert ended.exit_code == code
    assert error.message in ended.stderr
    assert ended.stdout == ""


def test_where_the_checks_could_not_judge_it_ends_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    errored = Hold(state=VerdictState.ERRORED, raw_rows=3)
    unable = msgspec.structs.replace(HELD, held={**HELD.held, "globex": errored})
    assert run(monkeypatch, StubPromoter(unable)).exit_code == 4


@pytest.mark.parametrize(
    ("step", "state"), [("build", PromotionState.BUILT), ("check", PromotionState.JUDGED)], ids=["build", "check"]
)
def test_a_promotion_that_rests_tells_that_nothing_is_published_and_how_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, step: str, state: PromotionState
) -> None:
    promoter = StubPromoter(Promotion(id=8, state=state, as_of=MOMENT, taken_up={"acme": 1500, "small": 2}))
    ended = run(monkeypatch, promoter, "--request", "ten o'clock", "--until", step)
    assert ended.exit_code == 0
    assert promoter.asked == {**ASKED, "key": "ten o'clock", "until": state}
    assert f"Promotion 8 {state}, nothing is published yet: 1,502 events of 2 tenants, 0 tenants" in ended.stdout
    assert """`workbench promote --request 'ten o'"'"'clock'`""" in ended.stderr


@pytest.mark.parametrize(
    "words", [("--until", "check"), ("--request", ""), ("--request", "x" * 201), ("--request", "a\nb")]
)
def test_a_key_that_does_not_fit_or_is_missing_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, words: Sequence[str]
) -> None:
    promoter = StubPromoter(PUBLISHED)
    assert run(monkeypatch, promoter, *words).exit_code == 2
    assert promoter.asked == {}


def test_the_document_leads_to_the_report_where_the_address_of_the_notebooks_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = msgspec.structs.replace(HELD, taken_up={"globex": 40, "initech": 3})
    assert json.loads(run(monkeypatch, StubPromoter(checked), "--json").stdout)["report_url"] is None
    monkeypatch.setenv("WORKBENCH_NOTEBOOKS_PUBLIC_URL", "https://notebooks.example.com/")
    document = json.loads(run(monkeypatch, StubPromoter(checked), "--json").stdout)
    assert document["report_url"] == "https://notebooks.example.com/notebooks/quality/?promotion=8"
    built = msgspec.structs.replace(checked, state=PromotionState.BUILT)
    assert json.loads(run(monkeypatch, StubPromoter(built), "--json").stdout)["report_url"] is None
