"""A mart's columns as statements name them. It runs nothing."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from pipeline.promote.marts import Mart


def names(mart: Mart) -> list[str]:
    """Every column, in the order of the yml."""
    return [column.name for column in mart.columns]


def others(mart: Mart) -> list[str]:
    """The columns that are no part of the key."""
    return [name for name in names(mart) if name not in mart.key]


def listed(columns: Iterable[str], qualifier: str | None = None) -> sql.Composed:
    """The columns separated by commas, each after the qualifier if one is given."""
    return sql.SQL(", ").join(sql.Identifier(*filter(None, (qualifier, name))) for name in columns)


def equal(columns: Iterable[str], left: str, right: str) -> sql.Composed:
    """The condition that the columns of two relations are equal, each with its own."""
    pairs = [sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in columns]
    return sql.SQL(" and ").join(pairs)


def content(mart: Mart, qualifier: str) -> sql.Composed:
    """A 64-bit hash of one row, by its columns in the order of the yml."""
    return sql.SQL("hash_record_extended(row({}), 0)").format(listed(names(mart), qualifier))
