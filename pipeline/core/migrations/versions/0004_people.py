"""People: users, their sign-in sessions, failed sign-ins, and the role of the server that lets them in."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add it all; 0004_people.sql says what."""
    run_file("0004_people.sql")
