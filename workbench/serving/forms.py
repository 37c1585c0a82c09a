"""Forms of our own pages: each is made for one browser, and says so when it comes back."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException

from workbench.serving.binding import Ids
from workbench.serving.visitors import cookie_name, cookies

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FIELD = "form"
COOKIE = "workbench_form"
MOST_BYTES = 10_000


class StaleForm(HTTPException):
    """The form was made for another browser, or before the server started anew."""


class Forms:
    """Makes and checks them: the hidden field must fit the cookie, which no other site can read or set."""

    def __init__(self, ids: Ids, *, secure: bool) -> None:
        self._ids = ids
        self._secure = secure
        self._cookie = cookie_name(COOKIE, secure=secure)

    def nonce(self, request: Request) -> str:
        """What this browser's forms are made for: the cookie's nonce, or a new one."""
        return next(iter(cookies(request.scope["headers"], self._cookie)), "") or secrets.token_urlsafe(24)

    def field(self, nonce: str) -> str:
        """The value of the hidden field."""
        return self._ids.form(nonce)

    def remember(self, response: Response, nonce: str) -> None:
        """Let the browser keep the nonce."""
        response.set_cookie(self._cookie, nonce, secure=self._secure, httponly=True, samesite="strict")

    async def read(self, request: Request) -> dict[str, str]:
        """The fields of a posted form. Raises HTTPException for a form that is too large or not ours."""
        body = bytearray()
        async for chunk in request.stream():
            body.extend(chunk)
            if len(body) > MOST_BYTES:
                raise HTTPException(413, "The form is too large.")
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
        nonce = next(iter(cookies(request.scope["headers"], self._cookie)), None)
        if not self._ids.form_fits(nonce, fields.pop(FIELD, None)):
            raise StaleForm(403, "This page was out of date. Please try again.")
        return fields
