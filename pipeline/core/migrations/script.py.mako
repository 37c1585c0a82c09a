"""${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Change the database; statements go into a .sql file beside."""
    ${upgrades if upgrades else "op.execute('')"}
