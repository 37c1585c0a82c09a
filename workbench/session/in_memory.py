"""A DuckDB over extracts, which reads them and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars

VIEW = "create view {name} as select * from read_parquet({path})"
UTC = "set timezone = 'UTC'"
ALLOW = "set allowed_paths = [{paths}]"
# Neither can be undone while the database is open.
CLOSE = "set enable_external_access = false"


def open_duckdb(tables: Mapping[str, Path | polars.DataFrame]) -> duckdb.DuckDBPyConnection:
    """A database in memory with a view of each file and of each frame."""
    connection = duckdb.connect(":memory:", config={"temp_directory": ""})
    connection.execute(UTC)
    files = {name: _text(str(each)) for name, each in tables.items() if isinstance(each, Path)}
    connection.execute(ALLOW.format(paths=", ".join(files.values())))
    connection.execute(CLOSE)
    for name, path in files.items():
        connection.execute(VIEW.format(name=_name(name), path=path))
    for name, each in tables.items():
        if isinstance(each, polars.DataFrame):
            connection.register(name, each.to_arrow())
    return connection


def _text(value: str) -> str:
    """A literal: DuckDB takes no values in the definition of a view."""
    return "'" + value.replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
