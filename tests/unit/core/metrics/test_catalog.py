"""The catalogue is read from its files, and refuses what is no metric with the file's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import DeploymentError
from pipeline.core.metrics.catalog import read_metrics
from pipeline.core.metrics.functions import function_of

YML = """
title: Things
description: How many things.
unit: things
granularities: [day]
dimensions: [none]
columns:
  - {name: things, type: bigint, description: Things.}
"""


def test_every_metric_of_the_release_is_read_and_described() -> None:
    metrics = read_metrics()
    assert [metric.name for metric in metrics] == [
        "active_users",
        "events",
        "feature_adoption",
        "feature_users",
        "new_users",
        "retention",
        "sessions",
        "stickiness",
    ]
    for metric in metrics:
        assert metric.described.title
        assert metric.described.description.endswith(".")
        assert all(column.description.endswith(".") for column in metric.columns), metric.name


def test_a_function_is_the_definition_between_the_checks_and_the_end_of_the_token() -> None:
    for metric in read_metrics():
        body = function_of(metric).body
        places = [
            body.index(part)
            for part in (
                "set_config('workbench.tenant_token', coalesce(tenant_token, ''), true)",
                "control.require_bearer()",
                "control.require_metric_arguments(",
                metric.select,
                "set_config('workbench.tenant_token', '', true)",
            )
        ]
        assert places == sorted(places), metric.name


def test_the_documentation_lists_every_metric_with_what_can_be_asked() -> None:
    text = (Path(__file__).parents[4] / "docs" / "metrics-api.md").read_text()
    told = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`"):
            told[cells[0].strip("`")] = (cells[2], cells[3])
    assert told == {
        metric.name: (", ".join(metric.granularities), ", ".join(metric.dimensions)) for metric in read_metrics()
    }


@pytest.mark.parametrize(
    ("yml", "sql", "told"),
    [
        (YML, None, "has no .sql beside it"),
        (None, "select 1", "has no .yml beside it"),
        (YML + "colour: red", "select 1", "unknown field `colour`"),
        (YML.replace("bigint", "numeric"), "select 1", "Invalid enum value 'numeric'"),
        (YML.replace("[none]", "[no'ne]"), "select 1", 'the name "no\'ne"'),
        (YML.replace("[day]", "[]"), "select 1", "lacks granularities"),
        (YML, "select 1; drop table x", "more than one statement"),
        ("[", "select 1", "is not as expected"),
    ],
)
def test_what_is_no_metric_is_refused_by_its_file(tmp_path: Path, yml: str | None, sql: str | None, told: str) -> None:
    for suffix, text in (("yml", yml), ("sql", sql)):
        if text is not None:
            (tmp_path / f"things.{suffix}").write_text(text)
    with pytest.raises(DeploymentError) as caught:
        read_metrics(tmp_path)
    assert "things." in caught.value.message
    assert told in caught.value.message
