"""The page of a notebook: held back until it is whole, since its policy names the hashes of its scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.serving.headers import notebook_policy, secured
from workbench.serving.origins import Doors

if TYPE_CHECKING:
    from starlette.types import Message, Send


def with_policy(send: Send, doors: Doors) -> Send:
    """Where to send a page: it goes on with the policy that fits it."""
    start: list[Message] = []
    body = bytearray()

    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.append(message)
            return
        if message["type"] != "http.response.body":
            await send(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body", False):
            return
        page = bytes(body)
        policy = notebook_policy(page, doors.url)
        await send({**start[0], "headers": secured(start[0]["headers"], policy=policy, secure=doors.secure)})
        await send({"type": "http.response.body", "body": page})

    return out
