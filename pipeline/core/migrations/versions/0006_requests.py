"""Requests: promotions that are asked for by a key, once for all, and may rest between their steps."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add it all; 0006_requests.sql says what."""
    run_file("0006_requests.sql")
