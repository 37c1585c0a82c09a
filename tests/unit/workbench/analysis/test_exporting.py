"""Files to take along."""

from __future__ import annotations

import csv as reader
import io
from datetime import UTC, date, datetime

import polars as pl

from workbench.analysis.exporting import csv, file_name, parquet

FRAME = pl.DataFrame(
    {
        "at": [datetime(2026, 1, 31, 10, 5, 1, 25, tzinfo=UTC), None],
        "day": [date(2026, 1, 31), None],
        "text": ['a,"b"\nä', None],
        "list": [[1, 2], None],
        "number": [-1.5, None],
    }
)


def test_csv_has_a_header_and_moments_in_utc() -> None:
    rows = list(reader.reader(io.StringIO(csv(FRAME).decode())))
    assert rows == [
        ["at", "day", "text", "list", "number"],
        ["2026-01-31T10:05:01.000025Z", "2026-01-31", 'a,"b"\nä', "[1, 2]", "-1.5"],
        ["", "", "", "", ""],
    ]


def test_a_text_that_a_spreadsheet_would_take_for_a_formula_is_marked() -> None:
    hostile = pl.DataFrame({"=head()": ["=1+1", "+1", "-1", "@x", "\tx", "fine=1"]})
    rows = [row for (row,) in reader.reader(io.StringIO(csv(hostile).decode()))]
    assert rows == ["'=head()", "'=1+1", "'+1", "'-1", "'@x", "'\tx", "fine=1"]


def test_parquet_keeps_everything_as_it_is() -> None:
    assert pl.read_parquet(parquet(FRAME)).equals(FRAME)


def test_a_file_name_is_plain() -> None:
    assert file_name("acme", "Explore", "../sum of x", day=date(2026, 1, 31), ending="csv") == (
        "acme-explore-sum-of-x-2026-01-31.csv"
    )
