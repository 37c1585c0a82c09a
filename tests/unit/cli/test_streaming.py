"""The commands of the stream: what they say without one, what they import, and how moments are read."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from pipeline.land.dead_letters import Reason
from workbench.cli.app import app
from workbench.cli.dead_letters import ReasonName
from workbench.cli.moments import read_moment

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
HEAVY = ("dbt", "great_expectations", "pandas", "fastapi", "uvicorn")


def run(*words: str, **environment: str) -> Result:
    return CliRunner(env={"DATABASE_URL": None, "KAFKA_BOOTSTRAP_SERVERS": None, **environment}).invoke(app, words)


@pytest.mark.parametrize("words", [["consume"], ["replay", "--from", "24h"]])
def test_without_kafka_it_is_told_what_to_set(words: list[str]) -> None:
    ended = run(*words)
    assert ended.exit_code == 1
    assert "KAFKA_BOOTSTRAP_SERVERS is not set" in ended.stderr
    assert "Remedy: Set it to the brokers" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["consume", "--member", "two words"],
        ["consume", "--member", ".."],
        ["replay"],
        ["replay", "--from", "yesterday"],
        ["replay", "--from", "1h", "--to", "2h"],
        ["deadletters", "show", "first"],
        ["deadletters", "list", "--reason", "odd"],
        ["tenants", "set", "acme"],
        ["tenants", "set", "acme", "--shards", "0"],
        ["tenants", "set", "acme", "--shards", "1001"],
    ],
)
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    ended = run(*words, KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-02T09:30:00Z", NOW - timedelta(hours=1)),
        ("2026-03-02T10:30:00+01:00", NOW - timedelta(hours=1)),
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(days=1)),
        ("7d", NOW - timedelta(days=7)),
        ("30s", NOW - timedelta(seconds=30)),
    ],
)
def test_a_moment_is_a_time_with_its_offset_or_how_long_ago(text: str, moment: datetime) -> None:
    assert read_moment(text, NOW, "--from") == moment


@pytest.mark.parametrize("text", ["", "2026-03-02T09:30:00", "2026-03-02", "1.5h", "h", "-1h", "1w", "now"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_moment(text, NOW, "--from")


def test_the_reasons_to_choose_from_are_those_of_landing() -> None:
    assert [reason.value for reason in ReasonName] == [reason.value for reason in Reason]


def test_the_consumer_loads_nothing_of_promotion_or_of_the_api() -> None:
    code = (
        "import sys, workbench.cli.consume, workbench.cli.consume_view, workbench.consuming.metrics, "
        "pipeline.core.deployment, pipeline.core.embedded, pipeline.land.landing, pipeline.stream.consumer; "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
