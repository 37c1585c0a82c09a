"""A broker that tests make up instead of a database and its keys."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from api.tokens import Dashboard, Dashboards, EmbedToken, Wish
from pipeline.core.errors import UnknownDashboard, WorkbenchError

NOW = datetime(2026, 3, 4, 6, tzinfo=UTC)
USAGE = Dashboard(slug="usage", dashboard_id=3, title="Usage")
LISTED = Dashboards(instance_url="https://metabase.example.com", dashboards=[USAGE])


class StandIn:
    """Gives a numbered token for the one dashboard that it knows, and remembers what it was asked."""

    def __init__(self) -> None:
        self.failure: WorkbenchError | None = None
        self.wishes: list[Wish] = []
        self.free = threading.Event()
        self.free.set()

    def dashboards(self) -> Dashboards:
        if self.failure is not None:
            raise self.failure
        return LISTED

    def issue(self, wish: Wish) -> EmbedToken:
        self.free.wait(10)
        self.wishes.append(wish)
        if self.failure is not None:
            raise self.failure
        if wish.dashboard not in (USAGE.slug, USAGE.dashboard_id):
            raise UnknownDashboard([USAGE.slug])
        return EmbedToken(
            dashboard=USAGE.slug,
            token=f"token-{len(self.wishes)}",
            instance_url=LISTED.instance_url,
            expires_at=NOW,
            as_of=NOW,
            held=False,
        )
