"""The small JSON bodies of the embeds API."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import Request

from api.refusals import Refusal

LONGEST_BODY = 16_384
SECONDS = 10.0
MEDIA_TYPE = "application/json"

Body = TypeVar("Body")


async def read_json(request: Request, wanted: type[Body], *, expected: str) -> Body:
    """The body as a struct. Raises Refusal: 408, 413, 415, or 400 with the text `expected`, which says what to send."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise Refusal(415, "unsupported_media_type", f"Send Content-Type: {MEDIA_TYPE}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "unsupported_encoding", "Send the body as it is.")
    try:
        # DecodeError has the others of msgspec below it; a surrogate in a text is none of them.
        return msgspec.json.decode(await _read(request), type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "invalid_request", expected) from error


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LONGEST_BODY:
                    raise Refusal(413, "body_too_large", f"The body is larger than {LONGEST_BODY} bytes.")
    except TimeoutError as error:
        raise Refusal(408, "body_timeout", f"The body did not arrive within {SECONDS:g} seconds.") from error
    return bytes(body)
