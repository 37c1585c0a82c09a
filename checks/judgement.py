"""One judgement: its promotion, its deadline, and the database sessions that it is made in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg

from checks.failing import BY_TENANT, SAMPLES, FailingRows, by_tenant
from pipeline.core.database import connect

APPLICATION = "workbench_gate"

WORK_MEMORY = "64MB"

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
            # An hour's facts are sorted and joined in memory, and no statement is worth being compiled.
            "work_mem": WORK_MEMORY,
            "jit": "off",
            "statement_timeout": self.statement_timeout(),
            "workbench.promotion": f"{self.promotion_id}",
        }

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session with these settings, closed afterwards. Raises DatabaseUnavailable."""
        settings = self.settings()
        with connect(self.url, autocommit=True, application=APPLICATION) as connection:
            connection.execute(SET, (list(settings), list(settings.values())))
            yield Session(self, connection)

    def statement_timeout(self) -> str:
        """The time until the deadline, as PostgreSQL wants it. Raises as `seconds_left`."""
        return f"{max(1, round(self.seconds_left() * 1000))}"


class Session:
    """A connection of a judgement, whose statements end with it: they raise TimeoutError or psycopg.Error."""

    def __init__(self, judgement: Judgement, connection: psycopg.Connection) -> None:
        self._judgement = judgement
        self._connection = connection

    def answers(self, statement: str, values: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        self._connection.execute(SET, (["statement_timeout"], [self._judgement.statement_timeout()]))
        return self._connection.execute(statement.encode(), values).fetchall()

    def failing_rows(self, query: str) -> Mapping[str | None, FailingRows]:
        """By tenant the rows of a query of failing rows, whose first column is the tenant."""
        return by_tenant(self.answers(BY_TENANT.format(query=query, samples=SAMPLES)))

    def cancel(self) -> None:
        """End the statement that runs, if one does; callable from any thread."""
        with suppress(psycopg.Error):
            self._connection.cancel()
