"""What may be asked of a served notebook, by method and path. Pure functions.

marimo has some ninety endpoints, most of them for editing. These are the few that a reader's browser needs;
everything else is refused before marimo sees it, whatever it would have answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from urllib.parse import parse_qsl, urlencode

PREFIX = "/notebooks/"
NAME = re.compile(r"[a-z][a-z0-9_]*")
ASSET = re.compile(
    r"/(assets/[\w.@-]+|favicon\.ico|manifest\.json|logo\.png|apple-touch-icon\.png|android-chrome-\d+x\d+\.png)"
)
HELPERS = frozenset({"/public-files-sw.js", "/health"})
FILE = re.compile(r"/@file/(?P<size>\d{1,12})-(?P<name>[\w.-]{1,200})")
EMPTY_FILE = "empty.txt"
CALLS = frozenset(
    {
        "/api/kernel/set_ui_element_value",
        "/api/kernel/set_model_value",
        "/api/kernel/function_call",
        "/api/export/html",
    }
)
SOCKET = "/ws"

RESERVED = frozenset(
    {"session_id", "file", "kiosk", "access_token", "refresh_token", "auth_token", "owner_of_files", "show-code"}
    | {"include-code", "view-as", "vscode"}
)
"""Query parameters that mean something to marimo or to us; a browser's own are dropped."""
OWNER = "owner_of_files"
"""The parameter by which a session's kernel learns whose its files are."""
TENANT = "tenant"


class Errand(Enum):
    """What a request to a notebook is for."""

    DOCUMENT = "document"
    ASSET = "asset"
    FILE = "file"
    CALL = "call"


def place(path: str) -> tuple[str, str] | None:
    """A notebook's name and the path within it, None for a path elsewhere.

    The path within is "" for the notebook's address without a slash at its end.
    """
    if not path.startswith(PREFIX):
        return None
    name, slash, rest = path.removeprefix(PREFIX).partition("/")
    return (name, slash + rest) if NAME.fullmatch(name) else None


def errand(method: str, within: str) -> Errand | None:
    """What a request is for; None if it is nothing that a reader may ask."""
    if method == "POST":
        return Errand.CALL if within in CALLS else None
    if method not in ("GET", "HEAD"):
        return None
    if within in ("", "/"):
        return Errand.DOCUMENT
    if ASSET.fullmatch(within) or within in HELPERS:
        return Errand.ASSET
    return Errand.FILE if FILE.fullmatch(within) else None


def file_name(within: str) -> str:
    """The name of the file that a path asks for. Raises ValueError for a path that asks for none."""
    found = FILE.fullmatch(within)
    if found is None:
        raise ValueError(within)
    return found["name"]


def asked(query: bytes, name: str) -> Sequence[str]:
    """All values of a query parameter, in order."""
    return [value for key, value in _pairs(query) if key == name]


def cleaned(query: bytes, **ours: str) -> bytes:
    """A query without the reserved parameters, and with ours instead."""
    kept = [(key, value) for key, value in _pairs(query) if key not in RESERVED]
    return urlencode(kept + list(ours.items())).encode("ascii")


def safe_next(address: str | None) -> str:
    """Where to go after signing in: a path of this server, "/" for anything else.

    Browsers take `//host`, `/\\host` and addresses with tabs or newlines in them for other servers.
    """
    if not address or not address.startswith("/") or not address.isascii() or not address.isprintable():
        return "/"
    if address[1:2] in ("/", "\\") or "\\" in address or len(address) > 2_000:
        return "/"
    return address


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
