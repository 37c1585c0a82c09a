"""The folder of extracts: made once, whole or not at all, private, and no larger than allowed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import polars as pl
import pyarrow as pa
import pytest

from tests.integration.promote.world import wait_until
from workbench.session import Reading, SourceError, StatementCancelled
from workbench.session.extracts import Extract, ExtractCache, Fill, Write

SPAWN = multiprocessing.get_context("spawn")


def batches(value: int = 1, rows: int = 3, pieces: int = 2) -> list[pa.RecordBatch]:
    return [pa.record_batch({"value": [value] * rows}) for _ in range(pieces)]


def filling(content: Iterable[pa.RecordBatch]) -> Fill:
    def fill(write: Write) -> bool:
        write(content)
        return True

    return fill


def refuse(_: Write) -> bool:
    raise AssertionError("it is there already")


def got(cache: ExtractCache, owner: str, *key: object, fill: Fill = refuse) -> Extract:
    extract = cache.get(owner, key, fill, Reading())
    assert extract is not None
    return extract


@pytest.fixture(autouse=True)
def main_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that ran in this process has left its own module there, of which no process can be made."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "extracts"


@pytest.fixture
def cache(folder: Path) -> ExtractCache:
    return ExtractCache(folder)


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.glob(f"*/*{ending}"))


def test_an_extract_is_made_once_and_read_again_by_anybody_of_the_same_owner(cache: ExtractCache, folder: Path) -> None:
    first = got(cache, "acme", "events", 7, fill=filling(batches()))
    again = got(ExtractCache(folder), "acme", "events", 7)
    assert again.path == first.path
    assert pl.read_parquet(again.path)["value"].to_list() == [1] * 6


def test_another_owner_or_key_is_another_file_and_names_tell_nothing(cache: ExtractCache, folder: Path) -> None:
    asked = [
        ("acme", ("events", 7)),
        ("globex", ("events", 7)),
        ("acme", ("events", 8)),
        ("acme", ("users", 7)),
        ("acme", (7,)),
    ]
    paths = [got(cache, owner, *key, fill=filling(batches(n))).path for n, (owner, key) in enumerate(asked)]
    assert [pl.read_parquet(path)["value"][0] for path in paths] == [0, 1, 2, 3, 4]
    assert len({path.parent for path in paths}) == 2
    assert not any(word in str(path.relative_to(folder)) for path in paths for word in ("acme", "globex", "events"))


def test_only_this_user_may_read_it(cache: ExtractCache, folder: Path) -> None:
    before = os.umask(0)
    try:
        path = got(cache, "acme", 1, fill=filling(batches())).path
    finally:
        os.umask(before)
    assert {each.stat().st_mode & 0o777 for each in (folder, path.parent)} == {0o700}
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


def test_a_folder_that_others_may_enter_is_refused(cache: ExtractCache, folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(SourceError, match="not this user's alone"):
        cache.get("acme", [1], refuse, Reading())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot be used"):
        ExtractCache(tmp_path / "file" / "extracts").get("acme", [1], refuse, Reading())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(path.read_bytes()[:50] + b"?" + path.read_bytes()[51:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: path.with_suffix(".making").write_text(""),
    ],
)
def test_a_spoilt_extract_is_made_anew_also_while_another_holds_it(
    cache: ExtractCache, spoil: Callable[[Path], object]
) -> None:
    held = got(cache, "acme", 1, fill=filling(batches(1)))
    spoil(held.path)
    assert pl.read_parquet(got(cache, "acme", 1, fill=filling(batches(2))).path)["value"][0] == 2
    got(cache, "acme", 1)


def test_what_turned_out_to_be_outdated_is_not_kept(cache: ExtractCache, folder: Path) -> None:
    assert cache.get("acme", [1], lambda _: False, Reading()) is None
    assert files(folder, ".parquet") == files(folder, ".part") == []


def test_a_failure_leaves_nothing_and_the_next_one_makes_it(cache: ExtractCache, folder: Path) -> None:
    def fail(write: Write) -> bool:
        write(each for each in (batches()[0], 1 / 0))
        return True

    with pytest.raises(ZeroDivisionError):
        cache.get("acme", [1], fail, Reading())
    assert files(folder, ".parquet") == files(folder, ".part") == []
    assert got(cache, "acme", 1, fill=filling(batches())).path.exists()


def test_threads_that_ask_for_the_same_one_make_it_once(cache: ExtractCache) -> None:
    made: list[int] = []

    def fill(write: Write) -> bool:
        made.append(1)
        write(batches())
        return True

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: got(cache, "acme", 1, fill=fill), range(16)))
    assert (len({each.path for each in found}), made) == (1, [1])


def test_who_waits_for_another_may_cancel(cache: ExtractCache) -> None:
    begun, end = threading.Event(), threading.Event()

    def fill(write: Write) -> bool:
        begun.set()
        end.wait(20)
        write(batches())
        return True

    reading = Reading()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(got, cache, "acme", 1, fill=fill)
        begun.wait(20)
        second = threads.submit(cache.get, "acme", [1], refuse, reading)
        reading.cancel()
        assert isinstance(second.exception(20), StatementCancelled)
        end.set()
        assert first.result(20).path.exists()


def test_the_longest_unused_go_when_they_are_too_large_together_but_none_that_is_held(folder: Path) -> None:
    cache = ExtractCache(folder, most_bytes=1)
    held = got(cache, "acme", "held", fill=filling(batches()))
    free = got(cache, "acme", "free", fill=filling(batches()))
    free.release()
    newest = got(cache, "globex", "newest", fill=filling(batches()))
    assert (held.path.exists(), free.path.exists(), newest.path.exists()) == (True, False, True)
    assert len(files(folder, ".using")) == len(files(folder, ".making")) == 2
    held.release()
    newest.release()
    got(cache, "acme", "free", fill=filling(batches()))
    assert len(files(folder, ".parquet")) == 1


def test_what_was_used_last_stays(folder: Path) -> None:
    made = {name: got(ExtractCache(folder), "acme", name, fill=filling(batches())) for name in ("a", "b", "c")}
    for number, name in enumerate(made):
        made[name].release()
        for path in made[name].path.parent.glob(f"{made[name].path.stem}.*"):
            os.utime(path, (number, number))
    got(ExtractCache(folder), "acme", "a").release()
    size = made["a"].path.stat().st_size
    got(ExtractCache(folder, most_bytes=3 * size + 200), "acme", "d", fill=filling(batches()))
    assert [name for name, each in made.items() if each.path.exists()] == ["a", "c"]


def _make_slowly(folder: Path, log: Path, pipe: Connection) -> None:
    def fill(write: Write) -> bool:
        with log.open("a") as lines:
            lines.write("made\n")

        def coming() -> Iterable[pa.RecordBatch]:
            yield batches()[0]
            pipe.send("writing")
            pipe.recv()
            yield batches()[0]

        write(coming())
        return True

    got(ExtractCache(folder), "acme", 1, fill=fill)
    pipe.send("done")


def test_processes_that_ask_for_the_same_one_make_it_once(folder: Path, tmp_path: Path) -> None:
    ours, theirs = zip(*(SPAWN.Pipe() for _ in range(2)), strict=True)
    processes = [SPAWN.Process(target=_make_slowly, args=(folder, tmp_path / "log", pipe)) for pipe in theirs]
    for process in processes:
        process.start()
    wait_until(lambda: any(pipe.poll() for pipe in ours))
    [maker] = [pipe for pipe in ours if pipe.poll()]
    assert maker.recv() == "writing"
    maker.send("go on")
    assert [pipe.recv() for pipe in ours] == ["done", "done"]
    for process in processes:
        process.join(20)
    assert (tmp_path / "log").read_text() == "made\n"


def test_a_process_killed_while_it_writes_leaves_nothing_broken(folder: Path, tmp_path: Path) -> None:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_make_slowly, args=(folder, tmp_path / "log", theirs))
    process.start()
    assert ours.recv() == "writing"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert files(folder, ".part") != []
    path = got(ExtractCache(folder), "acme", 1, fill=filling(batches(2))).path
    assert pl.read_parquet(path)["value"].to_list() == [2] * 6
    assert files(folder, ".part") == []
