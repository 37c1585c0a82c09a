"""Who runs a command, for the audit log and the ledger."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_acting: ContextVar[str | None] = ContextVar("acting", default=None)


def actor() -> str:
    """Whom the command acts for; else the operating system's user and machine: `sam@db1`."""
    return _acting.get() or _account()


@contextmanager
def acting_for(person: str) -> Iterator[None]:
    """Commands called within are this person's, who signed in elsewhere.

    Only code can say so: neither an option nor the environment, which a shell hands on unseen.
    """
    before = _acting.set(person)
    try:
        yield
    finally:
        _acting.reset(before)


def _account() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
