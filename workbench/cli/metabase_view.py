"""What the metabase commands print for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.cli.output import print_rows, text

if TYPE_CHECKING:
    from workbench.metabase.allow_list import AppliedDashboard
    from workbench.metabase.differences import Change
    from workbench.metabase.reading import Stranger

LONGEST_VALUE = 60


def line_of(applied: AppliedDashboard) -> dict[str, object]:
    """A dashboard that is there."""
    return {
        "dashboard": applied.slug,
        "number": str(applied.dashboard_id),
        "embedded": applied.embedded,
        "title": applied.title,
    }


def print_changes(changes: Sequence[Change], *, empty: str) -> None:
    """One row for each field that differs."""
    rows = [
        {"what": f"{change.action} {change.kind}", "which": " / ".join(change.path), **_field(change, index)}
        for change in changes
        for index in range(max(1, len(change.differences)))
    ]
    print_rows(rows, empty=empty)


def _field(change: Change, index: int) -> dict[str, object]:
    if not change.differences:
        return {"field": "", "must be": "", "is": ""}
    each = change.differences[index]
    return {"field": each.field, "must be": _short(each.wanted), "is": _short(each.found)}


def _short(value: object) -> str:
    shown = " ".join(text(value).split())
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[: LONGEST_VALUE - 1]}…"


def tell_of(strangers: Sequence[Stranger]) -> None:
    """What nobody asked for, if there is anything."""
    if strangers:
        print_rows(
            [
                {"kind": each.kind, "number": str(each.id), "name": " / ".join(each.path), "why": each.why}
                for each in strangers
            ],
            title="What no file describes, and is left alone",
        )
