"""Whose each virtual file is."""

from __future__ import annotations

import pytest

from workbench.serving.files import OwnedFiles


def test_a_file_that_no_session_stored_is_nobodys() -> None:
    files = OwnedFiles()
    files.store("a.csv", b"rows")
    assert files.owner("a.csv") is None
    assert files.owner("unknown.csv") is None


def test_a_name_is_given_once() -> None:
    files = OwnedFiles()
    files.store("a.csv", b"first")
    files.store("a.csv", b"second")
    assert files.read("a.csv", 100) == b"first"


def test_a_file_is_read_in_chunks_from_anywhere() -> None:
    files = OwnedFiles()
    files.store("a.csv", bytes(range(10)))
    assert b"".join(files.read_chunked("a.csv", 5, chunk_size=2, start=3)) == bytes(range(3, 8))
    assert b"".join(files.read_chunked("a.csv", 50, chunk_size=4, start=8)) == bytes([8, 9])
    with pytest.raises(KeyError):
        next(files.read_chunked("b.csv", 5))


def test_files_are_forgotten_one_by_one_or_all() -> None:
    files = OwnedFiles()
    for name in ("a", "b", "c"):
        files.store(name, b"x")
    files.remove("a")
    files.shutdown(["b", "unknown"])
    assert [files.has(name) for name in ("a", "b", "c")] == [False, False, True]
    files.shutdown()
    assert not files.has("c")
    assert not files.stale
