"""What every answer tells browsers to forbid. Pure functions."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
]
OVER_HTTPS: Headers = [(b"strict-transport-security", b"max-age=31536000")]
SET_BY_US = frozenset(name for name, _ in ALWAYS + OVER_HTTPS) | {b"content-security-policy", b"server"}

OWN_PAGES = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"
# Scripts that run as they stand in the page; what only holds data does not run.
INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\bsrc=)(?P<attributes>[^>]*)>(?P<code>.*?)</script>", re.S | re.I)
DATA_TYPE = re.compile(rb"""\btype\s*=\s*["']?(?!text/javascript|module)[\w/+.-]+""", re.I)


def notebook_policy(page: bytes, origin: str) -> str:
    """The policy of a notebook's page: its own inline scripts by their hashes, everything else from this server.

    Vega compiles the expressions of charts, which is what 'unsafe-eval' is for; styles are set inline by
    marimo. `origin` is this server's, whose WebSockets not all browsers count as 'self'.
    """
    scripts = [match for match in INLINE_SCRIPT.finditer(page) if not DATA_TYPE.search(match["attributes"])]
    hashes = " ".join(dict.fromkeys(f"'sha256-{_digest(match['code'])}'" for match in scripts))
    return (
        f"default-src 'none'; script-src 'self' {hashes} 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob: {_socket(origin)}; "
        "media-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self' blob:; manifest-src 'self'; "
        "form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'"
    )


def secured(headers: Iterable[tuple[bytes, bytes]], *, policy: str, secure: bool, cache: str | None = None) -> Headers:
    """An answer's headers with ours instead of any that others set, and without leave to other origins."""
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in SET_BY_US
        and not name.lower().startswith(b"access-control-")
        and not (cache is not None and name.lower() == b"cache-control")
    ]
    ours = ALWAYS + (OVER_HTTPS if secure else []) + [(b"content-security-policy", policy.encode("ascii"))]
    return kept + ours + ([(b"cache-control", cache.encode("ascii"))] if cache is not None else [])


def _digest(code: bytes) -> str:
    # A browser sees line ends as HTML has them.
    return base64.b64encode(hashlib.sha256(code.replace(b"\r\n", b"\n")).digest()).decode()


def _socket(origin: str) -> str:
    return origin.replace("http", "ws", 1)
