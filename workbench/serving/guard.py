"""The session guard: between browsers and marimo, for HTTP and WebSockets alike. Pure ASGI.

Each request is let through only if its host and origin are ours, its sender is signed in and may open the
notebook, and it is one of the few things that a reader needs (`rules`). What goes through carries no id of the
browser's: session ids are exchanged (`binding`), files must be the sender's own (`files`), cookies stay here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from starlette.exceptions import HTTPException

from pipeline.core import logs
from workbench.serving import rules
from workbench.serving.binding import Ids
from workbench.serving.catalog import Notebook, may_choose, may_open
from workbench.serving.documents import with_policy
from workbench.serving.headers import NOTHING, secured
from workbench.serving.origins import Doors, header
from workbench.serving.register import Line, Register, Visit, Why
from workbench.serving.rules import Errand
from workbench.serving.starting import Starts
from workbench.serving.visitors import Visitor, Visitors

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY_VIOLATION = 1008
# The reason upon which marimo's page says that its kernel is gone, and does not try again for ever.
GONE = "MARIMO_SHUTDOWN"
MOST_BYTES = 2_000_000
"""Bytes of one call to a notebook: values of its controls."""
SESSION_HEADER = b"marimo-session-id"
NOT_PASSED_ON = frozenset({b"cookie", b"authorization", b"proxy-authorization", b"marimo-stable-session-id"})
CACHING = {Errand.DOCUMENT: "private, no-store", Errand.FILE: "private, no-store", Errand.CALL: "no-store"}

log = logging.getLogger(__name__)


class Refusal(HTTPException):
    """A request that is not let through."""


class Guard:
    """The ASGI application in front of marimo's."""

    def __init__(
        self,
        inner: ASGIApp,
        *,
        notebooks: Mapping[str, Notebook],
        doors: Doors,
        visitors: Visitors,
        ids: Ids,
        register: Register,
        owner_of_file: Callable[[str], str | None],
        refused: Callable[[str], None],
    ) -> None:
        self._inner = inner
        self._notebooks = notebooks
        self._doors = doors
        self._visitors = visitors
        self._ids = ids
        self._register = register
        self._owner_of_file = owner_of_file
        self._refused = refused
        self._starts = Starts()

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request below `/notebooks/`. Raises HTTPException for what is refused, before anything is sent.

        401 stands for nobody signed in, 403 for what is not this person's, 404 for what there is not,
        429 for one session too many.
        """
        name, within = rules.place(scope["path"]) or ("", "")
        visitor, notebook = await self._admitted(scope, name)
        errand = rules.errand(scope["method"], within)
        if errand is None:
            raise Refusal(403 if scope["method"] == "POST" else 404, "That cannot be asked of a notebook here.")
        inner = self._scope(scope, visitor, notebook)
        if errand is Errand.DOCUMENT:
            self._require_room(scope, visitor, notebook)
        elif errand is Errand.FILE:
            self._require_own_file(within, visitor, notebook)
        elif errand is Errand.CALL:
            inner["headers"].append((SESSION_HEADER, self._require_own_session(scope, visitor, notebook)))
        inner["query_string"] = rules.cleaned(scope["query_string"])
        out, heard = send, receive
        if errand is Errand.DOCUMENT:
            inner["headers"] = [pair for pair in inner["headers"] if pair[0] != b"if-none-match"]
            out = with_policy(send, self._doors)
        elif errand is Errand.CALL:
            heard = _bounded(receive)
        try:
            await self._inner(inner, heard, self._securing(out, errand))
        except (msgspec.MsgspecError, ValueError) as error:
            # marimo has answered, and raises what it could not read for the server's log.
            log.info("a call to %s could not be read: %s", name, error)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket, or refuse it: with 403 to foreign pages, else with the close code 1008."""
        try:
            if not self._doors.lets_socket_in(header(scope["headers"], b"origin")):
                raise Refusal(403, "A WebSocket from a foreign page.")
            name, within = rules.place(scope["path"]) or ("", "")
            if within != rules.SOCKET:
                raise Refusal(403, "There is no such WebSocket.")
        except (HTTPException, ValueError) as error:
            self._refused("socket")
            log.info("refused a WebSocket: %s", error)
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        try:
            visitor, notebook = await self._admitted(scope, name)
            session = self._session(rules.asked(scope["query_string"], "session_id"), visitor, notebook)
            opened = self._register.open(session, self._visit(scope, visitor, notebook))
            if isinstance(opened, Why):
                raise Refusal(429, opened.value)
        except HTTPException as error:
            self._refused("socket")
            log.info("refused a WebSocket of %s: %s", name, error.detail)
            await _refuse(receive, send)
            return
        inner = self._scope(scope, visitor, notebook)
        owner = self._ids.owner(visitor.sign_in, notebook.name)
        inner["query_string"] = rules.cleaned(scope["query_string"], session_id=session, **{rules.OWNER: owner})
        try:
            await _serve(self._starts.around(self._inner), inner, receive, send, opened)
        finally:
            self._register.leave(session, opened)

    async def _admitted(self, scope: Scope, name: str) -> tuple[Visitor, Notebook]:
        visitor = await self._visitors.of(scope["headers"])
        if visitor is None:
            raise Refusal(401, "Nobody is signed in.")
        notebook = self._notebooks.get(name)
        if notebook is None:
            raise Refusal(404, "There is no such notebook.")
        if not may_open(visitor.principal, notebook):
            raise Refusal(403, "This notebook is not for your role.")
        chosen = rules.asked(scope["query_string"], rules.TENANT)
        if not may_choose(visitor.principal, chosen):
            raise Refusal(403, "This tenant is not yours.")
        if visitor.principal.tenant_id is None and chosen and not await self._visitors.may_be_read(chosen[0]):
            raise Refusal(404, "There is no such tenant, or it is suspended.")
        if tenant_id := self._visit(scope, visitor, notebook).tenant_id:
            logs.bind(tenant_id=tenant_id)
        return visitor, notebook

    def _visit(self, scope: Scope, visitor: Visitor, notebook: Notebook) -> Visit:
        chosen = rules.asked(scope["query_string"], rules.TENANT)
        tenant = visitor.principal.tenant_id or (chosen[0] if chosen else None)
        return Visit(visitor=visitor, tenant_id=tenant, notebook=notebook.name)

    def _require_room(self, scope: Scope, visitor: Visitor, notebook: Notebook) -> None:
        if self._visit(scope, visitor, notebook).tenant_id is None and not notebook.for_stewards:
            raise Refusal(400, "Choose a tenant first.")
        why = self._register.refusal(self._visit(scope, visitor, notebook))
        if why is not None:
            raise Refusal(429, why.value)

    def _require_own_file(self, within: str, visitor: Visitor, notebook: Notebook) -> None:
        name = rules.file_name(within)
        if name != rules.EMPTY_FILE and self._owner_of_file(name) != self._ids.owner(visitor.sign_in, notebook.name):
            raise Refusal(403, "This file is not yours, or is gone.")

    def _require_own_session(self, scope: Scope, visitor: Visitor, notebook: Notebook) -> bytes:
        given = [value.decode("latin-1") for key, value in scope["headers"] if key == SESSION_HEADER]
        session = self._session(given, visitor, notebook)
        if not self._register.use(session):
            raise Refusal(403, "This notebook session is not yours, or has ended.")
        return session.encode("ascii")

    def _session(self, given: Sequence[str], visitor: Visitor, notebook: Notebook) -> str:
        """The inner id for the one that the browser gave. Raises Refusal unless it gave one well-formed id."""
        if len(given) != 1:
            raise Refusal(403, "One session id is needed.")
        try:
            return self._ids.session(visitor.sign_in, notebook.name, given[0])
        except ValueError as error:
            raise Refusal(403, "The session id is none.") from error

    def _scope(self, scope: Scope, visitor: Visitor, notebook: Notebook) -> Scope:
        """The request as marimo sees it: with the person, without what could stand for them elsewhere."""
        kept = [pair for pair in scope["headers"] if pair[0] not in NOT_PASSED_ON and pair[0] != SESSION_HEADER]
        meta = {"notebook": notebook.name}
        return dict(scope) | {"headers": kept, "user": visitor.principal.as_user(), "meta": meta}

    def _securing(self, send: Send, errand: Errand) -> Send:
        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                cache = CACHING.get(errand)
                headers = secured(message["headers"], policy=NOTHING, secure=self._doors.secure, cache=cache)
                message = {**message, "headers": headers}
            await send(message)

        return out


def _bounded(receive: Receive) -> Receive:
    """A request's body, refused where it becomes too large."""
    size = 0

    async def heard() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MOST_BYTES:
            raise Refusal(413, "The request is too large.")
        return message

    return heard


async def _refuse(receive: Receive, send: Send) -> None:
    """Accept a WebSocket and close it: only so does a browser learn of the reason."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": GONE})


async def _serve(inner: ASGIApp, scope: Scope, receive: Receive, send: Send, line: Line) -> None:
    """Serve a WebSocket until either side ends it, or the line does."""

    async def out(message: Message) -> None:
        if not line.ended.is_set():
            await send(message)

    serving = asyncio.ensure_future(inner(scope, receive, out))
    ending = asyncio.create_task(line.ended.wait())
    try:
        await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
        if line.ended.is_set() and not serving.done():
            # The browser may be gone by now.
            with suppress(RuntimeError, OSError):
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": GONE})
    finally:
        for task in (serving, ending):
            task.cancel()
        results = await asyncio.gather(serving, ending, return_exceptions=True)
    if isinstance(results[0], Exception) and not line.ended.is_set():
        raise results[0]
