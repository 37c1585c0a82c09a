"""Service roles: who exists in the cluster, and the passwords derived for them."""

from __future__ import annotations

from psycopg import Connection, sql

from pipeline.core.database import Database, ServiceRole

OWNER = "workbench_owner"
READER = "workbench_reader"
TENANTS = "workbench_tenants"


def set_passwords(connection: Connection, database: Database) -> None:
    """Give each service role its derived password; without a secret there are none to give."""
    for role in ServiceRole:
        set_password(connection, database, role.value)


def set_password(connection: Connection, database: Database, login: str) -> None:
    """Give one login its derived password."""
    password = database.password(login)
    if password is not None:
        connection.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(login), sql.Literal(password)))
