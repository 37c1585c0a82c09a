"""An export is read by what it holds, not by its name, and to its last whole line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from workbench.importing import source
from workbench.importing.source import SourceError, open_source

LINES = [b'{"n": %d}\n' % number for number in range(5_000)]


def stored(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_gzip_is_recognized_whatever_the_file_is_called(tmp_path: Path) -> None:
    halves = [gzip.compress(b"".join(part)) for part in (LINES[:2_000], LINES[2_000:])]
    path = stored(tmp_path / "export.txt", b"".join(halves))
    with open_source(path) as opened:
        assert list(opened) == LINES
        assert opened.position() == opened.total == path.stat().st_size


def test_a_plain_file_is_read_with_its_last_line_unended(tmp_path: Path) -> None:
    with open_source(stored(tmp_path / "export.gz", b"one\ntwo")) as opened:
        assert list(opened) == [b"one\n", b"two"]


def test_of_a_truncated_file_every_line_before_the_break_is_read(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(LINES))
    read: list[bytes] = []
    beyond = pytest.raises(SourceError, match=r"cannot be read beyond line \d+")
    with open_source(stored(tmp_path / "export.gz", whole[: len(whole) // 2])) as opened, beyond:
        read.extend(opened)
    assert len(read) > 1_000
    assert read == LINES[: len(read)]


def test_a_file_without_lines_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LONGEST_LINE", 1_000)
    with (
        open_source(stored(tmp_path / "export.json", b"[" + b"1," * 10_000)) as opened,
        pytest.raises(SourceError, match="NDJSON"),
    ):
        list(opened)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be opened: No such file"), open_source(tmp_path / "export"):
        pass
