"""Operations: how long a promotion's steps took, and the traces of what it works on."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add it all; 0007_operations.sql says what."""
    run_file("0007_operations.sql")
