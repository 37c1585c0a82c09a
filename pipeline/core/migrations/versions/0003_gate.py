"""The gate: holds and decisions, what was checked and changed, discarded events, the journal, notifications."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add it all; 0003_gate.sql says what."""
    run_file("0003_gate.sql")
