"""Files of dashboards, as tests write them."""

from __future__ import annotations

from pathlib import Path

from workbench.metabase.lint import require_fit
from workbench.metabase.spec import SpecFile, read_spec

METRICS = {"active_users", "events", "freshness"}
ACTIVE_USERS = "select period_start, active_users from metrics.active_users({{tenant}}, current_date - 9, current_date)"


def text(
    sql: str = ACTIVE_USERS,
    *,
    audience: str = "customers",
    parameters: str = "[]",
    more: str = "",
    place: str = "{row: 0, column: 0, width: 12, height: 6}",
) -> str:
    """A dashboard of one card; `more` are lines after it."""
    indented = "\n".join(f"      {line}" for line in sql.splitlines())
    return f"""\
title: Usage
audience: {audience}
description: How much is used.
parameters: {parameters}
cards:
  - name: Active users
    display: line
    place: {place}
    sql: |
{indented}
{more}"""


def written(folder: Path, content: str, name: str = "usage.yml") -> Path:
    """The file of a dashboard."""
    path = folder / name
    path.write_text(content)
    return path


def judged(folder: Path, content: str) -> SpecFile:
    """The dashboard of a file that is fit. Raises SpecError otherwise."""
    file = read_spec(written(folder, content))
    require_fit([file], METRICS)
    return file
