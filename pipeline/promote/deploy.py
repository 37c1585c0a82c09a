"""Deployment of what is published: marts, cached views, and the views that people and tools read.

Additive and repeatable: it creates what is missing, restores policies, grants and views to what they
should be, and takes no lock where nothing differs. It never drops or retypes a column, and it never
touches a row; what would need that is refused with the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from pipeline.core.errors import DeploymentError
from pipeline.core.roles import OWNER
from pipeline.promote.deploy_security import as_role, require_grants, require_row_security
from pipeline.promote.deploy_views import deploy_cached_view, deploy_freshness, deploy_view, set_comments
from pipeline.promote.marts import TYPES, CachedView, Column, Mart

LOCK_TIMEOUT = "set local lock_timeout = '10s'"

JOURNAL = "Rows of marts.{mart} as they were before a promotion changed them; existed is false for those it inserted."

COLUMNS = """
    select a.attname, format_type(a.atttypid, a.atttypmod)
    from pg_attribute as a
    where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped
    order by a.attnum
"""
KEY = """
    select a.attname
    from pg_index as i
    cross join unnest(i.indkey) with ordinality as k (attnum, position)
    inner join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = k.attnum
    where i.indrelid = to_regclass(%s) and i.indisprimary
    order by k.position
"""


def deploy_marts(connection: psycopg.Connection, marts: Sequence[Mart], cached_views: Sequence[CachedView]) -> None:
    """Bring the published relations to what the ymls say, inside the administrator's open transaction.

    Raises DeploymentError where a mart would have to lose or change a column or its key, or where a
    reader holds on to a relation that must change.
    """
    connection.execute(LOCK_TIMEOUT)
    try:
        for mart in marts:
            _deploy_table(connection, mart)
            deploy_view(connection, mart.name, mart.description, mart.columns, source=("marts", mart.name))
        for view in cached_views:
            deploy_cached_view(connection, view)
            deploy_view(connection, view.name, view.description, view.columns, source=("cache", view.name))
        deploy_freshness(connection)
    except psycopg.errors.LockNotAvailable as error:
        raise DeploymentError(
            f"A published relation has been in use for too long: {error.diag.message_primary}.",
            remedy="End the transactions that read it, or wait for them, and run `workbench db migrate` again.",
        ) from error


def _deploy_table(connection: psycopg.Connection, mart: Mart) -> None:
    with as_role(connection, OWNER):
        found: dict[str, str] = dict(connection.execute(COLUMNS, (f"marts.{mart.name}",)).fetchall())
        if found:
            _require_compatible(connection, mart, found)
            _add_columns(
                connection, "marts", mart.name, [column for column in mart.columns if column.name not in found]
            )
        else:
            connection.execute(_create_table(mart))
        for columns in mart.indexes:
            _create_index(connection, mart, columns)
        require_row_security(connection, "marts", mart.name)
        require_grants(connection, "marts", mart.name)
        set_comments(connection, "table", ("marts", mart.name), mart.description, mart.columns)
        _deploy_journal(connection, mart)


def _deploy_journal(connection: psycopg.Connection, mart: Mart) -> None:
    """The journal of a mart: the same columns, and which promotion overwrote the row."""
    found: dict[str, str] = dict(connection.execute(COLUMNS, (f"journal.{mart.name}",)).fetchall())
    if found:
        _add_columns(connection, "journal", mart.name, [column for column in mart.columns if column.name not in found])
    else:
        connection.execute(_create_journal(mart))
    require_row_security(connection, "journal", mart.name)
    require_grants(connection, "journal", mart.name)
    set_comments(connection, "table", ("journal", mart.name), JOURNAL.format(mart=mart.name), ())


def _require_compatible(connection: psycopg.Connection, mart: Mart, found: dict[str, str]) -> None:
    wanted = {column.name: TYPES[column.type] for column in mart.columns}
    if gone := sorted(set(found) - set(wanted)):
        raise DeploymentError(
            f"marts.{mart.name} has columns that its model no longer has: {', '.join(gone)}.",
            remedy="Readers may use them: keep them in the model, or drop them in a migration of their own first.",
        )
    if retyped := sorted(name for name in found if found[name] != wanted[name]):
        changes = ", ".join(f"{name} from {found[name]} to {wanted[name]}" for name in retyped)
        raise DeploymentError(
            f"marts.{mart.name} would change the type of {changes}.",
            remedy="Add a column under another name and let readers move to it.",
        )
    key = tuple(row[0] for row in connection.execute(KEY, (f"marts.{mart.name}",)))
    if key != mart.key:
        raise DeploymentError(
            f"marts.{mart.name} has the key {', '.join(key)}, its model {', '.join(mart.key)}.",
            remedy="Another grain is another mart: give it another name.",
        )


def _create_table(mart: Mart) -> sql.Composed:
    return sql.SQL("create table {} ({}, primary key ({}))").format(
        sql.Identifier("marts", mart.name),
        sql.SQL(", ").join(map(_definition, mart.columns)),
        sql.SQL(", ").join(map(sql.Identifier, mart.key)),
    )


def _create_journal(mart: Mart) -> sql.Composed:
    tenant, *rest = mart.key
    return sql.SQL(
        "create table {} (promotion_id bigint not null, existed boolean not null, {}, primary key ({}))"
    ).format(
        sql.Identifier("journal", mart.name),
        sql.SQL(", ").join(map(_definition, mart.columns)),
        sql.SQL(", ").join(map(sql.Identifier, (tenant, "promotion_id", *rest))),
    )


def _add_columns(connection: psycopg.Connection, schema: str, name: str, columns: Sequence[Column]) -> None:
    for column in columns:
        connection.execute(
            sql.SQL("alter table {} add column {}").format(sql.Identifier(schema, name), _definition(column))
        )


def _definition(column: Column) -> sql.Composed:
    # A type is one of TYPES, never free text.
    return sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(TYPES[column.type]))


def _create_index(connection: psycopg.Connection, mart: Mart, columns: tuple[str, ...]) -> None:
    name = index_name(mart.name, columns)
    # "if not exists" would lock the table before it looks.
    if connection.execute("select to_regclass(%s)", (f"marts.{name}",)).fetchone() == (None,):
        connection.execute(
            sql.SQL("create index {} on {} ({})").format(
                sql.Identifier(name),
                sql.Identifier("marts", mart.name),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
        )


def index_name(mart: str, columns: tuple[str, ...]) -> str:
    """The name of a mart's index over columns, cut to what PostgreSQL keeps of it."""
    return f"{mart}__{'_'.join(columns[1:])}"[:63]
