"""Alembic's entry: migrations run on the connection that the deployment hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="control", transaction_per_migration=False)
context.run_migrations()
