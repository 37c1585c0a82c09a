"""The stream: landed offsets, gaps, shards of tenants, where dead letters came from, and the audit log."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add it all; 0002_stream.sql says what."""
    run_file("0002_stream.sql")
