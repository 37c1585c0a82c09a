"""Alembic migrations of the schemas that Python owns: raw and control."""
