"""A Metabase to work with: reached, set up if it is new, and signed in to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import msgspec

from workbench.metabase.client import START_SECONDS, Metabase

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Metabase tries a database's connection while its caller waits."""


class Administrator(msgspec.Struct, frozen=True, kw_only=True):
    """Where Metabase is, and who administers it."""

    url: str
    email: str
    password: str

    def __repr__(self) -> str:
        return f"Administrator({self.url}, {self.email})"


@contextmanager
def reached(administrator: Administrator, *, patience_seconds: float = START_SECONDS) -> Iterator[Metabase]:
    """A Metabase that is ready, as nobody. Raises MetabaseUnavailable."""
    with httpx.Client(base_url=administrator.url, timeout=TIMEOUT) as http:
        metabase = Metabase(http)
        metabase.wait_until_ready(patience_seconds)
        yield metabase


@contextmanager
def signed_in(administrator: Administrator, *, patience_seconds: float = START_SECONDS) -> Iterator[Metabase]:
    """The same as its administrator. Raises MetabaseUnavailable, or MetabaseError if that is not who this is."""
    with reached(administrator, patience_seconds=patience_seconds) as metabase:
        metabase.sign_in(email=administrator.email, password=administrator.password)
        yield metabase
