"""Who runs a command, for the audit log and the ledger."""

from __future__ import annotations

import getpass
import socket


def actor() -> str:
    """The operating system's user and machine: `sam@db1`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
