"""The limit of any ingest API in this stack: reads the body, parses it, counts, and keeps nothing.

`python -m bench.bare PORT` serves it as the product's API is served (uvicorn, httptools, uvloop), without
a framework. POST /msgspec parses with msgspec, POST /json with the standard library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn

PARSERS: dict[str, Callable[[bytes], Any]] = {"/msgspec": msgspec.json.decode, "/json": json.loads}

Message = MutableMapping[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The whole application."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    events = PARSERS[scope["path"]](body)
    answer = b'{"accepted":%d}' % (1 if isinstance(events, dict) else len(events))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
