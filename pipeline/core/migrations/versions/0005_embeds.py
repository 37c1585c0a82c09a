"""Embedding: tenant tokens, the schema of the metric functions, and what is known of Metabase."""

from __future__ import annotations

from pipeline.core.migrations.statements import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add it all; 0005_embeds.sql says what."""
    run_file("0005_embeds.sql")
