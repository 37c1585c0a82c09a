"""The kernel: schemas, raw and control tables, tenant context, policies and grants."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything; 0001_kernel.sql says what."""
    run_file("0001_kernel.sql")
