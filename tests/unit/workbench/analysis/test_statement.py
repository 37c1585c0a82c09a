"""What surrounds a typed statement."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from workbench.analysis.statement import (
    KEPT,
    Asked,
    Ending,
    Suggestion,
    ended,
    first_look,
    remark,
    remembered,
    suggest,
)
from workbench.session import StatementCancelled, StatementFailed, StatementRefused, TooManyRows
from workbench.session.statement import read_statement

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ROWS = pl.DataFrame({"a": [1, 2]})


def ending(number: int, outcome: Any = ROWS, text: str = "select 1") -> Ending:
    asked = Asked(number=number, text=text, most_rows=100, most_seconds=5)
    return ended(asked, outcome, at=NOW, seconds=0.5)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (ROWS, "2 rows"),
        (ROWS.head(1), "1 row"),
        (ROWS.head(0), "0 rows"),
        (TooManyRows("more than 2 rows", first=ROWS), "first 2 rows"),
        (TooManyRows("more than 2048 MB"), "failed"),
        (StatementCancelled("The statement was cancelled."), "cancelled"),
        (StatementRefused("EXPLAIN is refused."), "refused"),
        (StatementFailed("division by zero."), "failed"),
    ],
)
def test_each_ending_is_told_in_a_few_words(outcome: Any, told: str) -> None:
    assert ending(1, outcome).told == told


def test_the_first_rows_of_too_long_an_answer_are_kept() -> None:
    found = ending(1, TooManyRows("more than 2 rows", first=ROWS)).rows
    assert found is not None
    assert found.equals(ROWS)


def test_the_history_has_the_latest_first_and_no_end_of_memory() -> None:
    history: tuple[Any, ...] = ()
    for number in range(1, KEPT + 10):
        history = remembered(history, ending(number, text=f"select {number}"))
    assert len(history) == KEPT
    assert [entry.text for entry in history[:2]] == [f"select {KEPT + 9}", f"select {KEPT + 8}"]
    assert not hasattr(history[0], "rows")


def test_the_place_in_a_message_is_told_with_its_line() -> None:
    text = "select *\nfrom t\nwhere evnt = 1"
    found = remark(
        StatementFailed('column "evnt" does not exist.\nwhere evnt = 1\n      ^', remedy="Perhaps event."), text
    )
    assert (found.said, found.line, found.before, found.after, found.remedy) == (
        'column "evnt" does not exist.',
        3,
        "where ",
        "evnt = 1",
        "Perhaps event.",
    )


@pytest.mark.parametrize(
    ("text", "line", "before", "after"),
    [
        ("explain select 1", 1, "", "explain select 1"),
        ("-- why\n /* so */ delete from t", 2, " /* so */ ", "delete from t"),
        ("select ';' as a; drop table t", 1, "select ';' as a; ", "drop table t"),
        ("select 1;\n\nselect 2", 3, "", "select 2"),
    ],
)
def test_a_refused_statement_is_marked_where_it_begins(text: str, line: int, before: str, after: str) -> None:
    with pytest.raises(StatementRefused) as refused:
        read_statement(text)
    found = remark(refused.value, text)
    assert (found.line, found.before, found.after) == (line, before, after)
    assert found.said == refused.value.message


@pytest.mark.parametrize("text", ["", "  ", "\0", "select 1 -- ;"])
def test_an_error_without_a_place_is_told_without_one(text: str) -> None:
    assert remark(StatementFailed("No."), text).before == remark(StatementFailed("No."), text).after == ""
    assert remark(StatementRefused("There is no statement."), text).said == "There is no statement."


def test_a_table_is_looked_at_under_its_own_name_whatever_that_is() -> None:
    assert first_look("dim_users") == "select *\nfrom analytics.dim_users\nlimit 100"
    assert first_look('a"; b') == 'select *\nfrom analytics."a""; b"\nlimit 100'


DAYS = [date(2026, 1, 1), date(2026, 1, 2)]


@pytest.mark.parametrize(
    ("columns", "suggestion"),
    [
        ({"day": DAYS, "n": [1, 2]}, Suggestion(shape="line", x="day", y="n")),
        ({"n": [1, 2], "day": DAYS}, Suggestion(shape="line", x="day", y="n")),
        (
            {"day": [*DAYS, *DAYS], "kind": ["a", "a", "b", "b"], "n": [1, 2, 3, 4]},
            Suggestion(shape="line", x="day", y="n", series="kind"),
        ),
        ({"kind": ["a", "b"], "n": [1, 2]}, Suggestion(shape="lying bars", x="kind", y="n")),
        ({"hour": [0, 1], "n": [1, 2]}, Suggestion(shape="bars", x="hour", y="n")),
        ({"kind": ["a", "b"]}, Suggestion(shape="none")),
        ({"n": [1]}, Suggestion(shape="none")),
        ({"kind": ["a", "a"], "n": [1, 2]}, Suggestion(shape="none")),
        ({"day": [], "n": []}, Suggestion(shape="none")),
        ({"day": [None, None], "n": [1, 2]}, Suggestion(shape="none")),
    ],
)
def test_a_chart_is_suggested_by_the_types_of_the_columns(
    columns: dict[str, list[Any]], suggestion: Suggestion
) -> None:
    assert suggest(pl.DataFrame(columns)) == suggestion
