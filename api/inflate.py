"""Decompressing a request's body piece by piece, never more than a small piece ahead of its reader.

Gzip may come in several members, as from clients that compress part by part. A stream that does
not end is refused, however much of it could be read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from api.refusals import Refusal

PIECE_BYTES = 65_536
GZIP_MEMBERS = 10_000
_GZIP_ONLY = 16 + zlib.MAX_WBITS


class Identity:
    """A body that is sent as it is."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Nothing is outstanding."""


class Gunzip:
    """A body in gzip. Raises Refusal with 400 for a stream that is broken, cut off or followed by something."""

    def __init__(self) -> None:
        self._members = 0
        self._member = zlib.decompressobj(_GZIP_ONLY)
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next pieces of the body, each at most PIECE_BYTES long."""
        while data:
            if self._member.eof:
                self._next_member()
            self._begun = True
            # The end is asked for first: what follows a member may lie in unconsumed_tail as well.
            while data and not self._member.eof:
                yield self._decompress(data)
                data = self._member.unconsumed_tail
            data = self._member.unused_data

    def finish(self) -> None:
        """To be called after the last byte."""
        if self._begun and not self._member.eof:
            raise _malformed("it ends early")

    def _next_member(self) -> None:
        self._members += 1
        if self._members >= GZIP_MEMBERS:
            raise _malformed(f"it has more than {GZIP_MEMBERS} members")
        self._member = zlib.decompressobj(_GZIP_ONLY)

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._member.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            raise _malformed("it is not a gzip stream") from error


def _malformed(why: str) -> Refusal:
    return Refusal(400, "malformed_gzip", f"The body cannot be decompressed: {why}.")
