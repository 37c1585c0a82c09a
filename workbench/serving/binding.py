"""Ids that cannot meet: what a browser calls a notebook session, and what it is called inside. Pure functions.

marimo's session ids are chosen by the browser, short, and part of URLs. Here an id never reaches marimo as it
came: inside, a session is called by an HMAC-SHA256 over the sign-in, the notebook and the browser's id. Who
sends another's id, guessed or copied, names a session of their own that does not exist.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Ids:
    """The ids of one server process; its key is drawn anew with each, as notebook sessions do not outlive it."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 32:
            raise ValueError("the key has fewer than 32 bytes")
        self._key = key

    def sign_in(self, token: str) -> str:
        """What a sign-in is called where its token must not be: in logs, in the register, in marimo."""
        return self._digest("sign-in", token)

    def session(self, sign_in: str, notebook: str, client_id: str) -> str:
        """What marimo calls the session that a browser calls `client_id`: 256 bits.

        Raises ValueError for an id that no browser of ours would choose.
        """
        if CLIENT_ID.fullmatch(client_id) is None:
            raise ValueError("no session id")
        return "s_" + self._digest("session", sign_in, notebook, client_id)

    def owner(self, sign_in: str, notebook: str) -> str:
        """Whose the files are that a session of this notebook makes."""
        return self._digest("owner", sign_in, notebook)

    def form(self, nonce: str) -> str:
        """What a form must carry that was made for the browser which holds this nonce in a cookie."""
        return self._digest("form", nonce)

    def form_fits(self, nonce: str | None, carried: str | None) -> bool:
        """Whether a posted form was made for this browser."""
        return bool(nonce) and bool(carried) and hmac.compare_digest(self.form(nonce or ""), carried or "")

    def _digest(self, purpose: str, *parts: str) -> str:
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in (purpose, *parts))
        return base64.urlsafe_b64encode(hmac.digest(self._key, message, hashlib.sha256)).decode().rstrip("=")
