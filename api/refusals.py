"""How a request is refused: one shape for every error, `{"code", "message"}` and, where useful, `details`.

Clients decide by `code`; `message` is for people. Neither repeats anything of the request. Only 429
and 503 carry Retry-After, since known clients retry whatever carries it. Fates of single events are
not refusals: see `outcomes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pipeline.core.errors import WorkbenchError

RETRY_AFTER_SECONDS = 2
RETRYABLE = frozenset({429, 503})


class Refusal(WorkbenchError):
    """The request is refused as a whole."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.details = details
        self.headers = headers or {}
        super().__init__(message)


def json_response(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response whose body is the JSON of plain values or structs."""
    return Response(msgspec.json.encode(content), status, headers=dict(headers or {}), media_type="application/json")


def refusal_response(refusal: Refusal) -> Response:
    """The response to a refused request."""
    content: dict[str, object] = {"code": refusal.code, "message": refusal.message}
    if refusal.details is not None:
        content["details"] = refusal.details
    headers = dict(refusal.headers)
    if refusal.status in RETRYABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return json_response(content, refusal.status, headers)


async def answer_refusal(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Exception handler for Refusal."""
    assert isinstance(error, Refusal)
    return refusal_response(error)


async def answer_routing_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Exception handler for what the router refuses: an unknown path, a method that a path lacks."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    message = f"{status.phrase}: {status.description}." if status.description else f"{status.phrase}."
    return refusal_response(Refusal(status, code, message, headers=error.headers))


async def answer_defect(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Exception handler for everything unforeseen; the server logs the traceback."""
    return refusal_response(
        Refusal(500, "internal_error", "Something failed on our side; sending the same event ids again is safe.")
    )


async def answer_nobody(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """Exception handler for a client that left before its request was read."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    Refusal: answer_refusal,
    HTTPException: answer_routing_error,
    ClientDisconnect: answer_nobody,
    Exception: answer_defect,
}
"""What the application answers to each kind of exception."""
