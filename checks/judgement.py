"""One judgement: its promotion, its deadline, and the database sessions that it is made in."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

import psycopg

from pipeline.core.database import connect

APPLICATION = "workbench_gate"

SET = "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as setting (name, value)"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Which promotion is judged, as whom, and until when: `deadline` is on the clock of `time.monotonic`."""

    url: str
    promotion_id: int
    deadline: float

    def seconds_left(self) -> float:
        """Time until the deadline; raises TimeoutError once it has passed."""
        left = self.deadline - monotonic()
        if left <= 0:
            raise TimeoutError("the judgement took longer than it may")
        return left

    def settings(self) -> dict[str, str]:
        """What its sessions set, ours and Great Expectations' alike.

        Rules name candidate tables without their schema, and read the promotion from its setting.
        """
        return {
            "timezone": "UTC",
            "search_path": "candidate",
            "default_transaction_read_only": "on",
            # The gate probes each key once: remembering the answers costs more than it saves.
            "enable_memoize": "off",
            "statement_timeout": f"{max(1, round(self.seconds_left() * 1000))}",
            "workbench.promotion": f"{self.promotion_id}",
        }

    def connect(self) -> psycopg.Connection:
        """A connection with these settings, in autocommit. Raises DatabaseUnavailable."""
        settings = self.settings()
        connection = connect(self.url, autocommit=True, application=APPLICATION)
        connection.execute(SET, (list(settings), list(settings.values())))
        return connection
