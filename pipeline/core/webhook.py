"""The settings of the webhook that is told of held tenants and failed promotions.

They are checked when a process reads them. Sending is in `pipeline/notify/`.
"""

from __future__ import annotations

import base64
import binascii
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from pipeline.core.errors import SettingsError

PREFIX = "whsec_"
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a key, as the Standard Webhooks specification has them."""
REMEDY = f"""Make one: printf '{PREFIX}%s\\n' "$(openssl rand -base64 32)"."""


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where notifications go, and the secret that signs them. Without an address they go nowhere."""

    url: str | None = None
    """An address that takes POST: https, or http on this machine. Unset: nobody is told."""
    secret: str | None = None
    """`whsec_` and the base64 of 24 to 64 random bytes; the receiver has the same."""
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=300)] = 10
    """How long one attempt may take from the connection to the answer."""

    def require_whole(self) -> None:
        """Raise SettingsError, repeating neither address nor secret, unless both are set and fit, or neither is."""
        if not self.url and not self.secret:
            return
        if not self.secret:
            raise SettingsError("WORKBENCH_WEBHOOK_URL is set, but WORKBENCH_WEBHOOK_SECRET is not.", remedy=REMEDY)
        if not self.url:
            raise SettingsError("WORKBENCH_WEBHOOK_SECRET is set, but WORKBENCH_WEBHOOK_URL is not.")
        _require_url(self.url)
        _require_secret(self.secret)


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise SettingsError("WORKBENCH_WEBHOOK_URL is no address such as https://ops.example.com/hooks/workbench.")
    if parts.username is not None or parts.password is not None:
        raise SettingsError(
            "WORKBENCH_WEBHOOK_URL names a user.", remedy="Leave user and password out: the signature tells who sends."
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise SettingsError("WORKBENCH_WEBHOOK_URL must begin with https://; http:// is for this machine alone.")


def is_loopback(host: str) -> bool:
    """Whether a host of an address is this machine, seen from itself."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _require_secret(secret: str) -> None:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise SettingsError(
            f"WORKBENCH_WEBHOOK_SECRET is not {PREFIX} and the base64 of {SHORTEST_KEY} to {LONGEST_KEY} bytes.",
            remedy=REMEDY,
        )
