"""Gzip: whole or refused, and never more than a piece ahead of its reader."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.inflate import GZIP_MEMBERS, PIECE_BYTES, Gunzip
from api.refusals import Refusal

parts = st.binary(max_size=50) | st.sampled_from(
    [b"\0" * PIECE_BYTES, b"ab" * PIECE_BYTES, b"\0" * (3 * PIECE_BYTES + 1)]
)


def inflate(stream: bytes, chunk: int = 1 << 20) -> bytes:
    gunzip = Gunzip()
    pieces = [piece for i in range(0, len(stream), chunk) for piece in gunzip.feed(stream[i : i + chunk])]
    gunzip.finish()
    assert max(map(len, pieces), default=0) <= PIECE_BYTES
    return b"".join(pieces)


@settings(deadline=None)
@given(st.lists(parts, max_size=4), st.integers(1, 400))
def test_members_are_joined_however_the_stream_arrives(members: list[bytes], chunk: int) -> None:
    stream = b"".join(gzip.compress(member) for member in members)
    assert inflate(stream, chunk) == b"".join(members)


@settings(deadline=None)
@given(st.lists(parts, min_size=1, max_size=3), st.data())
def test_a_stream_that_is_cut_within_a_member_is_refused(members: list[bytes], data: st.DataObject) -> None:
    compressed = [gzip.compress(member) for member in members]
    missing = data.draw(st.integers(1, len(compressed[-1]) - 1))
    with pytest.raises(Refusal, match="ends early"):
        inflate(b"".join(compressed)[:-missing])


def test_members_without_end_are_refused() -> None:
    with pytest.raises(Refusal, match="members"):
        inflate(gzip.compress(b"") * (GZIP_MEMBERS + 1))


def test_raw_deflate_and_zlib_are_no_gzip() -> None:
    with pytest.raises(Refusal, match="not a gzip stream"):
        inflate(b"x\x9c\x03\x00\x00\x00\x00\x01")
