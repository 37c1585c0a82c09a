"""E-mail addresses as names of users: one spelling each."""

from __future__ import annotations

import re

LONGEST = 254
ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+")


def normalized(typed: str) -> str | None:
    """The address in lower case, or None if it is none.

    ASCII alone: beyond it there are letters that fold into others, by which one user could be
    taken for another.
    """
    stripped = typed.strip()
    return stripped.lower() if len(stripped) <= LONGEST and ADDRESS.fullmatch(stripped) else None
