"""Up to when a tenant's data is published, and whether newer data is held back."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's state of publication; before the first promotion there is neither an id nor a moment."""

    promotion_id: int | None
    """The promotion that last published the tenant's data."""
    as_of: datetime | None
    """What was landed before this moment (UTC) is published."""
    held: bool
    """Newer data is held back by the checks, and what is read is the last good state."""
    held_since: datetime | None
    """Since when (UTC) newer data is held back."""
