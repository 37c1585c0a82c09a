"""Where stewards work in this process: the composition root installs it, and a notebook asks it for its steward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.database import Database
from workbench.stewards.deciding import Decisions
from workbench.stewards.errors import StewardRefused
from workbench.stewards.steward import Steward

ROLES = ("steward", "admin")


class Desk:
    """The database that stewards read, and the decisions of the process."""

    def __init__(self, database: Database, decisions: Decisions) -> None:
        self._database = database
        self._decisions = decisions

    def steward(self, user: Mapping[str, Any]) -> Steward:
        """The steward that a signed-in user is. Raises StewardRefused."""
        if user["role"] not in ROLES:
            raise StewardRefused(
                f"As {user['role']} you read your own tenant's usage, and not the quality of all tenants.",
                remedy="Open the Overview notebook.",
            )
        return Steward(str(user["email"]), self._database, self._decisions)


_installed: Desk | None = None


def install(desk: Desk | None) -> None:
    """Make this the process's desk; None takes it away."""
    global _installed
    _installed = desk


def current() -> Desk | None:
    """The process's desk, or None where none is installed."""
    return _installed


def steward_of(request: Any) -> Steward:
    """The steward who opened a notebook, as the server's guard has noted it. Raises StewardRefused."""
    desk, user = current(), getattr(request, "user", None)
    if desk is None:
        raise StewardRefused(
            "This page is part of the notebook server.", remedy="`workbench notebooks` serves it; sign in there."
        )
    if not isinstance(user, Mapping) or not user.get("email"):
        raise StewardRefused("Nobody is signed in.", remedy="Sign in, then open the page again.")
    return desk.steward(user)
