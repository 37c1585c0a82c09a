"""Reading a request's body within its limits, before any of it is looked at.

What a request is made of (media type, encoding, declared length) is settled from its headers, so
that a hopeless one is refused before its body is read. What the body means is `batch.py`.
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from api.batch import Form
from api.budget import Take
from api.inflate import Gunzip, Identity
from api.refusals import Refusal
from pipeline.core.settings import IngestLimits

MEDIA_TYPES = {"application/json": Form.JSON, "application/x-ndjson": Form.LINES}
CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
ENCODINGS: dict[str, type[Identity] | type[Gunzip]] = {"": Identity, "identity": Identity, "gzip": Gunzip}


def form_of(request: Request) -> Form:
    """How the body is cut into events. Raises Refusal with 415."""
    values = request.headers.getlist("content-type")
    media_type, *parameters = values[0].lower().split(";") if len(values) == 1 else [""]
    form = MEDIA_TYPES.get(media_type.strip())
    if form is None:
        raise Refusal(415, "unsupported_media_type", f"Send Content-Type: {' or '.join(MEDIA_TYPES)}.")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in CHARSETS:
            raise Refusal(415, "unsupported_charset", "JSON is sent in UTF-8.")
    return form


async def read_body(request: Request, *, limits: IngestLimits, take: Take, seconds: float) -> bytes:
    """The decompressed body. Raises Refusal: 400, 408, 413, 415 or 503."""
    inflater = _inflater_of(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.wire_bytes:
        raise _too_large(limits)
    body, wire_bytes = bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                wire_bytes += len(chunk)
                if wire_bytes > limits.wire_bytes:
                    raise _too_large(limits)
                for piece in inflater.feed(chunk):
                    if len(body) + len(piece) > limits.body_bytes:
                        raise Refusal(
                            413,
                            "inflated_body_too_large",
                            f"The decompressed body is larger than {limits.body_bytes} bytes; send it in parts.",
                        )
                    take(len(piece))
                    body += piece
    except TimeoutError as error:
        raise Refusal(408, "body_timeout", f"The body did not arrive within {seconds:g} seconds.") from error
    inflater.finish()
    return bytes(body)


def _inflater_of(request: Request) -> Identity | Gunzip:
    values = request.headers.getlist("content-encoding")
    encoding = ENCODINGS.get(",".join(values).strip().lower())
    if encoding is None:
        raise Refusal(
            415,
            "unsupported_encoding",
            "Send the body as it is or with Content-Encoding: gzip, once.",
            headers={"Accept-Encoding": "gzip"},
        )
    return encoding()


def _too_large(limits: IngestLimits) -> Refusal:
    return Refusal(
        413, "body_too_large", f"The body is larger than {limits.wire_bytes} bytes as sent; send it in parts."
    )
