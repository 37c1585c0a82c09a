"""A frame or a chart as a file to take along.

A spreadsheet takes a text that begins like a formula for one: in CSV such texts get an apostrophe before them,
in Parquet everything stays as it is.
"""

from __future__ import annotations

import io
import json
import re
from datetime import date

import polars as pl

FORMULA = r"^([=+\-@\t\r])"
MOMENT = "%Y-%m-%dT%H:%M:%S%.6fZ"


def csv(frame: pl.DataFrame) -> bytes:
    """UTF-8 with a header; moments as ISO 8601 in UTC, lists and the like as JSON."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
    told = frame.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.to_string(MOMENT)).with_columns(
        pl.Series(name, [_json(value) for value in frame[name]], dtype=pl.String) for name in nested
    )
    safe = told.with_columns(pl.col(pl.String).str.replace(FORMULA, "'$1"))
    safe = safe.rename({name: f"'{name}" for name in safe.columns if re.match(FORMULA, name)})
    return safe.write_csv().encode()


def parquet(frame: pl.DataFrame) -> bytes:
    """Parquet with the frame's own types."""
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def file_name(*parts: str, day: date, ending: str) -> str:
    """A name that any system takes: `acme-active-users-2026-01-31.csv`."""
    plain = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts]
    return f"{'-'.join(filter(None, [*plain, day.isoformat()]))}.{ending}"


def _json(value: object) -> str | None:
    if isinstance(value, pl.Series):
        value = value.to_list()
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)
