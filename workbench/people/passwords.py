"""Passwords: hashed with Argon2id, and compared at the same cost whether or not there is a user.

What a password must be is in `strength.py`.
"""

from __future__ import annotations

import secrets
import unicodedata
from threading import BoundedSemaphore

import msgspec
from pwdlib import PasswordHash

LONGEST = 1_000
"""Characters; more would be work for whoever likes to give some."""
AT_ONCE = 4
"""Hashes computed at a time in one process: each takes 64 MiB."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a password that was compared with a hash."""

    matches: bool
    rehashed: str | None = None
    """The matching password's hash with today's parameters, if the stored one is of other times."""


class Passwords:
    """Hashes and compares passwords. Safe to call from several threads."""

    def __init__(self, hashing: PasswordHash | None = None) -> None:
        self._hashing = hashing or PasswordHash.recommended()
        self._turn = BoundedSemaphore(AT_ONCE)
        self._of_nobody = self._hashing.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """The hash to store; its salt is in it."""
        with self._turn:
            return self._hashing.hash(_canonical(password))

    def compare(self, password: str, stored: str | None) -> Comparison:
        """Compare with a stored hash; without one it takes as long, and never matches."""
        readable = len(password) <= LONGEST
        with self._turn:
            matches, rehashed = self._hashing.verify_and_update(
                _canonical(password) if readable else "", stored or self._of_nobody
            )
        if not (matches and readable and stored):
            return Comparison(matches=False)
        return Comparison(matches=True, rehashed=rehashed)


def _canonical(password: str) -> bytes:
    """The same bytes for the same letters, however a keyboard composes them."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
