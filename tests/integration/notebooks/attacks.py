"""What one tenant may try against another's notebook, told whether it worked.

Each attack is run against marimo as it comes, where it works, and against our server, where it must not: only
so is it known that the attack is one.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from pathlib import Path
from urllib.parse import urlencode

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.integration.notebooks.served import Target

VICTIM, ATTACKER = "acme", "globex"
FOREIGN = "https://evil.example"
DEADLINE_SECONDS = 30.0
QUIET_SECONDS = 1.5
"""How long to listen for something that must not come."""

ROWS = '''"""Rows.

Whose rows are these?
"""

import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    return (mo,)


@app.cell
def _(mo):
    user = mo.app_meta().request.user
    tenant = user["tenant_id"] or mo.app_meta().request.query_params["tenant"][0]
    return (tenant,)


@app.cell
def _(mo):
    word = mo.ui.text(label="word")
    word
    return (word,)


@app.cell
def _(mo, tenant, word):
    mo.md(f"secret of {tenant}, word [{word.value}]")
    return


@app.cell
def _(mo, tenant):
    mo.download(data=f"file of {tenant}".encode(), filename="rows.csv")
    return
'''

CACHED = '''"""Cached.

What does the cache know?
"""

import marimo

app = marimo.App()


@app.cell
def _():
    import threading

    import marimo as mo

    class Engine:
        """A connection of a tenant's, which cannot be hashed."""

        def __init__(self, tenant):
            self.tenant = tenant
            self.lock = threading.Lock()

        def rows(self):
            return f"secret of {self.tenant}"

    return Engine, mo


@app.cell
def _(Engine, mo):
    engine = Engine(mo.app_meta().request.user["tenant_id"])
    return (engine,)


@app.cell
def _(engine, mo):
    with mo.persistent_cache("rows"):
        rows = engine.rows()
    mo.md(rows)
    return
'''

INJECTED = '''"""Injected.

What does a word become?
"""

import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    import polars as pl

    orders = pl.DataFrame({"tenant": ["acme", "globex"], "word": ["x", "x"], "secret": ["of acme", "of globex"]})
    return mo, orders


@app.cell
def _(mo):
    word = mo.ui.text(label="word")
    word
    return (word,)


@app.cell
def _(mo, orders, word):
    tenant = mo.app_meta().request.user["tenant_id"]
    found = mo.sql(f"select secret from orders where tenant = '{tenant}' and word = '{word.value}'", output=False)
    mo.md(", ".join(f"secret {each}" for each in found["secret"]) or "nothing")
    return
'''


NUMBERS = itertools.count(1)


def new_id() -> str:
    """A session id as marimo's page chooses it."""
    return f"s_{next(NUMBERS):06x}"


def write_notebooks(folder: Path, **sources: str) -> Path:
    """Notebooks as files; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return folder


def connected(
    target: Target, notebook: str, who: str, session_id: str, *, origin: str | None = None, **query: str
) -> ClientConnection:
    """A WebSocket to a notebook, as a page of `origin` would open it; the server's own without one."""
    address = f"{target.socket(notebook)}?{urlencode({'session_id': session_id} | query)}"
    headers = target.credentials(who)
    return connect(address, additional_headers=headers, origin=Origin(origin or target.origin), max_queue=None)


def heard(socket: ClientConnection, wanted: str, seconds: float = DEADLINE_SECONDS) -> str | None:
    """Everything heard until a text comes; None if it does not come in time, or the socket closes before."""
    ends, said = time.monotonic() + seconds, ""
    while time.monotonic() < ends:
        try:
            said += str(socket.recv(timeout=max(ends - time.monotonic(), 0.01)))
        except (TimeoutError, ConnectionClosed):
            return None
        if wanted in said:
            return said
    return None


def must_hear(socket: ClientConnection, wanted: str) -> str:
    """The same, failing if it does not come."""
    said = heard(socket, wanted)
    assert said is not None, f"{wanted!r} did not come"
    return said


def set_word(target: Target, notebook: str, who: str, session_id: str, said: str, word: str) -> httpx.Response:
    """Type a word into the text field that a socket was told of."""
    found = re.search(r"object-id=\\*['\"]([\w-]+)\\*['\"]", said)
    assert found is not None, "the notebook has no control"
    body = json.dumps({"objectIds": [found[1]], "values": [word]})
    headers = {"marimo-session-id": session_id, "content-type": "application/json"}
    with target.client(who) as client:
        address = f"{target.notebook(notebook)}api/kernel/set_ui_element_value"
        return client.post(address, content=body, headers=headers)


def takes_over_by_socket(target: Target) -> bool:
    """Connect with a copied session id: does the attacker get the victim's kernel, or the victim lose it?"""
    copied = new_id()
    with connected(target, "rows", VICTIM, copied) as victim:
        must_hear(victim, f"secret of {VICTIM}")
        with connected(target, "rows", ATTACKER, copied) as attacker:
            attached = heard(attacker, '"reconnected"', QUIET_SECONDS) is not None
        said = heard(victim, "anything at all", QUIET_SECONDS / 3)
        closed = victim.close_code is not None
        return attached or closed or said is not None


def takes_over_by_post(target: Target) -> bool:
    """Post with a copied session id, without a WebSocket of one's own: does the victim's notebook change?"""
    copied = new_id()
    with connected(target, "rows", VICTIM, copied) as victim:
        said = must_hear(victim, f"secret of {VICTIM}")
        set_word(target, "rows", ATTACKER, copied, said, "changed by the attacker")
        return heard(victim, "word [changed by the attacker]", QUIET_SECONDS) is not None


def is_hijacked_from_elsewhere(target: Target) -> bool:
    """A page of another site opens a WebSocket with the victim's cookie: does it get the victim's rows?"""
    try:
        with connected(target, "rows", VICTIM, new_id(), origin=FOREIGN) as socket:
            return heard(socket, f"secret of {VICTIM}", 10) is not None
    except InvalidStatus:
        return False


def reads_files_of_others(target: Target) -> bool:
    """Fetch a file of the victim's by its name: does the attacker get its bytes?"""
    copied = new_id()
    with connected(target, "rows", VICTIM, copied) as victim:
        said = must_hear(victim, "@file/")
        name = file_address(said)
        with target.client(VICTIM) as client:
            assert client.get(target.notebook("rows") + name).text == f"file of {VICTIM}"
        with target.client(ATTACKER) as client:
            return f"file of {VICTIM}" in client.get(target.notebook("rows") + name).text


def file_address(said: str) -> str:
    """The address of the file that a socket was told of, relative to the notebook."""
    found = re.search(r"@file/[\w.-]+", said)
    assert found is not None, "the notebook has no file"
    return found[0]


def cache_leaks(target: Target) -> bool:
    """Open a notebook with a persistent cache after the victim did: does the attacker get the victim's rows?"""
    with connected(target, "cached", VICTIM, new_id()) as victim:
        must_hear(victim, f"secret of {VICTIM}")
    with connected(target, "cached", ATTACKER, new_id()) as attacker:
        return f"secret of {VICTIM}" in must_hear(attacker, "secret of")


def sql_is_injected(target: Target) -> bool:
    """Type SQL where a word is wanted: does the attacker get the victim's rows?"""
    session_id = new_id()
    with connected(target, "injected", ATTACKER, session_id) as attacker:
        said = must_hear(attacker, "nothing")
        set_word(target, "injected", ATTACKER, session_id, said, f"' or tenant = '{VICTIM}")
        return heard(attacker, f"secret of {VICTIM}", QUIET_SECONDS * 2) is not None
