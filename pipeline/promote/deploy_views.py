"""The views of `analytics`, and the cached views behind some of them.

A view of `analytics` shows one published relation without its tenant column: the second wall. It is a
security barrier, owned by a role that is itself under the marts' row security, the first wall. Only
materialized views, which cannot have row security, rest on the second alone; nobody but that role
and our own services may read them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import psycopg
from psycopg import sql

from pipeline.core.database import ServiceRole
from pipeline.core.errors import DeploymentError
from pipeline.core.roles import READER
from pipeline.promote.deploy_security import OWN_TENANT, as_role, require_grants
from pipeline.promote.marts import TENANT_COLUMN, TYPES, CachedView, Column

FRESHNESS = (
    Column(
        name="promotion_id",
        type="bigint",
        description="The promotion that last published the tenant's data; null before the first.",
    ),
    Column(
        name="as_of",
        type="timestamptz",
        description="What was landed before is published, later events wait; null before the first promotion.",
    ),
    Column(
        name="held",
        type="boolean",
        description="Newer data is held back by the checks, and the figures are the last good ones.",
    ),
    Column(name="held_since", type="timestamptz", description="Since when newer data is held back; null if it is not."),
)

DEFINITION = "\n\nDefinition: "
"""In the comment of a materialized view, which cannot be replaced in place, before the hash of all that defines it."""

FOUND_VIEW = """
    select pg_get_viewdef(c.oid), c.reloptions
    from pg_class as c
    where c.oid = to_regclass(%s)
"""
PRINTED_VIEW = " SELECT {columns}\n   FROM {source}\n  WHERE {condition};"
"""How PostgreSQL prints such a view; where a later release prints otherwise, the view is replaced once more."""

FOUND_COLUMNS = """
    select a.attname, format_type(a.atttypid, a.atttypmod)
    from pg_attribute as a
    where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
FOUND_COMMENT = "select obj_description(to_regclass(%s), 'pg_class')"


def deploy_view(
    connection: psycopg.Connection,
    name: str,
    description: str,
    columns: Sequence[Column],
    *,
    source: tuple[str, str],
) -> None:
    """The view `analytics.<name>` over the tenant's own rows of `source`, in the source's column order."""
    found = [row[0] for row in connection.execute(FOUND_COLUMNS, (".".join(source),))]
    shown = [column for column in columns if column.name != TENANT_COLUMN]
    # New columns come last in the source, so that a view can be replaced, and its readers keep it.
    shown.sort(key=lambda column: found.index(column.name))
    with as_role(connection, READER):
        if not _is_right(connection, name, shown, source):
            connection.execute(
                sql.SQL(
                    "create or replace view {} with (security_barrier = true) as select {} from {} where {}"
                ).format(
                    sql.Identifier("analytics", name),
                    sql.SQL(", ").join(sql.Identifier(column.name) for column in shown),
                    sql.Identifier(*source),
                    sql.SQL(OWN_TENANT),
                )
            )
        require_grants(connection, "analytics", name)
        set_comments(connection, "view", ("analytics", name), description, shown)


def deploy_freshness(connection: psycopg.Connection) -> None:
    """The view `analytics.freshness`: up to when the tenant's data is published, and whether newer data is held."""
    description = (
        "Up to when your data is published, and whether newer data is held back. "
        "One row, or none before your data was first checked."
    )
    deploy_view(connection, "freshness", description, FRESHNESS, source=("control", "promotion_progress"))


def deploy_cached_view(connection: psycopg.Connection, view: CachedView) -> None:
    """The materialized view `cache.<name>`, built anew where its SQL or yml is another one."""
    name = f"cache.{view.name}"
    comment = f"{view.description}{DEFINITION}{hashlib.sha256(repr(view).encode()).hexdigest()}"
    if connection.execute(FOUND_COMMENT, (name,)).fetchone() != (comment,):
        with as_role(connection, READER):
            connection.execute(sql.SQL("drop view if exists {}").format(sql.Identifier("analytics", view.name)))
        with as_role(connection, ServiceRole.PUBLISHER):
            _build(connection, view)
            _require_columns(connection, view)
            set_comments(connection, "materialized view", ("cache", view.name), comment, view.columns)
    with as_role(connection, ServiceRole.PUBLISHER):
        require_grants(connection, "cache", view.name)


def set_comments(
    connection: psycopg.Connection, kind: str, name: tuple[str, str], description: str, columns: Sequence[Column]
) -> None:
    """Comments on a relation and its columns; the caller is its owner."""
    connection.execute(
        sql.SQL("comment on {} {} is {}").format(sql.SQL(kind), sql.Identifier(*name), sql.Literal(description))
    )
    for column in columns:
        connection.execute(
            sql.SQL("comment on column {} is {}").format(
                sql.Identifier(*name, column.name), sql.Literal(column.description)
            )
        )


def _is_right(connection: psycopg.Connection, name: str, shown: Sequence[Column], source: tuple[str, str]) -> bool:
    """Whether the view is there as it should be; replacing it would wait for its readers."""
    columns = ",\n    ".join(column.name for column in shown)
    printed = PRINTED_VIEW.format(columns=columns, source=".".join(source), condition=OWN_TENANT)
    found = connection.execute(FOUND_VIEW, (f"analytics.{name}",)).fetchone()
    return found == (printed, ["security_barrier=true"])


def _build(connection: psycopg.Connection, view: CachedView) -> None:
    name = sql.Identifier("cache", view.name)
    connection.execute(sql.SQL("drop materialized view if exists {}").format(name))
    # The definition is a file of this release, like a migration.
    definition = sql.SQL(view.sql.rstrip().rstrip(";"))
    connection.execute(sql.SQL("create materialized view {} as {}").format(name, definition))
    connection.execute(
        # REFRESH CONCURRENTLY needs it.
        sql.SQL("create unique index {} on {} ({})").format(
            sql.Identifier(f"{view.name}_key"), name, sql.SQL(", ").join(map(sql.Identifier, view.key))
        )
    )


def _require_columns(connection: psycopg.Connection, view: CachedView) -> None:
    found = connection.execute(FOUND_COLUMNS, (f"cache.{view.name}",)).fetchall()
    wanted = [(column.name, TYPES[column.type]) for column in view.columns]
    if found != wanted:
        differing = sorted({f"{name} {kind}" for name, kind in {*found} ^ {*wanted}}) or ["their order"]
        raise DeploymentError(
            f"cache/{view.name}.sql and cache/{view.name}.yml do not agree: {', '.join(differing)}.",
            remedy="List the columns of the .sql in the .yml, in the same order and with the types it gives them.",
        )
