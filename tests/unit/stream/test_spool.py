"""The spool: in order, durable, within its bound, one process's at a time."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.clock import hour_of
from pipeline.stream.spool import SMALLEST_BYTES, Row, Spool, Spooled, SpoolFull, SpoolUnusable, count_spooled
from tests.factories import MOMENT

ROOM = 1 << 26


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool", most_bytes=ROOM)
    yield spool
    spool.close()


def row(number: int = 0, *, tenant_id: str = "acme", hour: int = 490_000, size: int = 8) -> Row:
    return Row(tenant_id, number, hour, number.to_bytes(8, "big").ljust(size, b"\0"))


def rows(*numbers: int) -> list[Row]:
    return [row(number) for number in numbers]


def routes(spooled: list[Spooled]) -> list[int]:
    return [each.route for each in spooled]


def test_rows_come_back_in_order_with_all_that_was_given(spool: Spool) -> None:
    given_rows = [Row("acme", 3, 7, b"x"), Row("globex", 2**40, 8, b""), Row("ü", 0, 9, b"\0\xff")]
    spool.append(given_rows[:2])
    spool.append(given_rows[2:])
    assert [Row(*each[1:]) for each in spool.peek(10, 1000)] == given_rows
    assert spool.events == 3


def test_a_peek_is_bounded_and_always_gets_on(spool: Spool) -> None:
    spool.append([row(number, size=1000) for number in range(5)])
    assert routes(spool.peek(2, 1_000_000)) == [0, 1]
    assert routes(spool.peek(10, 3300)) == [0, 1, 2]
    assert routes(spool.peek(10, 1)) == [0]


def test_only_what_was_removed_is_gone(spool: Spool) -> None:
    spool.append(rows(0, 1, 2))
    spool.remove(spool.peek(2, 1000)[-1].seq)
    assert routes(spool.peek(10, 1000)) == [2]
    assert spool.events == 1
    spool.append(rows(3))
    spool.remove(spool.peek(10, 1000)[-1].seq)
    assert (spool.events, spool.peek(10, 1000)) == (0, [])


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(1, 5)),
            st.tuples(st.just("remove"), st.integers(1, 5)),
            st.tuples(st.just("reopen"), st.just(0)),
        ),
        max_size=12,
    )
)
def test_it_is_a_queue_whatever_is_done_to_it(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, most_bytes=ROOM)
    model: list[int] = []
    published = 0
    for step, number in steps:
        if step == "append":
            new = list(range(published, published + number))
            published += number
            spool.append(rows(*new))
            model += new
        elif step == "remove" and (first := spool.peek(number, ROOM)):
            spool.remove(first[-1].seq)
            del model[:number]
        elif step == "reopen":
            spool.close()
            spool = Spool(folder, most_bytes=ROOM)
        assert routes(spool.peek(1000, ROOM)) == model
        assert spool.events == len(model)
    spool.close()


def test_what_does_not_fit_is_refused_as_a_whole_and_the_disk_stays_within_the_bound(tmp_path: Path) -> None:
    bound = 4 * SMALLEST_BYTES
    spool = Spool(tmp_path, most_bytes=bound)
    kept = 0

    def fill() -> None:
        nonlocal kept
        for _ in range(10_000):
            spool.append([row(kept + index, size=2000) for index in range(10)])
            kept += 10
            assert on_disk(tmp_path) <= bound

    with pytest.raises(SpoolFull, match=r"spool-0\.sqlite"):
        fill()
    assert on_disk(tmp_path) <= bound
    assert kept * 2000 > bound // 2
    assert spool.events == kept
    assert spool.bytes + spool.room <= bound
    assert routes(spool.peek(kept + 100, ROOM)) == list(range(kept))
    with pytest.raises(SpoolFull):
        spool.append([row(0, size=bound)])
    while first := spool.peek(100, ROOM):
        spool.remove(first[-1].seq)
        assert on_disk(tmp_path) <= bound
    spool.append([row(0, size=2000)])
    spool.close()


def test_room_is_made_by_removing_and_the_file_shrinks_once_it_is_empty(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=ROOM)
    for _ in range(3):
        for _ in range(20):
            spool.append([row(size=10_000) for _ in range(100)])
        filled = spool.bytes
        assert filled > 20_000_000
        assert on_disk(tmp_path) < ROOM
        while first := spool.peek(500, ROOM):
            spool.remove(first[-1].seq)
        assert spool.bytes < 200_000
        assert on_disk(tmp_path) < 1_000_000
    spool.close()


class FullDisk:
    """A connection whose removals find no room."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement.startswith("delete"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._connection.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def test_a_disk_without_room_for_removals_is_passed_through_and_emptied_all_the_same(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=ROOM)
    spool.append(rows(*range(10)))
    real = spool._connection
    spool._connection = cast(sqlite3.Connection, FullDisk(real))
    for left in (7, 4):
        spool.remove(spool.peek(3, ROOM)[-1].seq)
        assert routes(spool.peek(10, ROOM)) == list(range(10 - left, 10))
        assert spool.events == left
    spool._connection = real
    spool.append(rows(10))
    spool.remove(spool.peek(1, ROOM)[-1].seq)
    assert routes(spool.peek(10, ROOM)) == [7, 8, 9, 10]
    spool._connection = cast(sqlite3.Connection, FullDisk(real))
    spool.remove(spool.peek(10, ROOM)[-1].seq)
    assert (spool.events, spool.peek(10, ROOM)) == (0, [])
    spool.append(rows(11))
    spool.close()
    again = Spool(tmp_path, most_bytes=ROOM)
    assert routes(again.peek(10, ROOM)) == [11]
    again.close()


def test_a_file_removed_by_a_process_that_was_killed_over_it_is_empty_whatever_its_log_holds(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=ROOM)
    spool.append(rows(1, 2))
    log = tmp_path / "spool-0.sqlite-wal"
    content = log.read_bytes()
    spool.close()
    spool.path.unlink()
    log.write_bytes(content)
    again = Spool(tmp_path, most_bytes=ROOM)
    assert again.events == 0
    again.append(rows(3))
    assert routes(again.peek(10, ROOM)) == [3]
    again.close()


def test_a_reader_that_stays_does_not_make_the_disk_overflow(tmp_path: Path) -> None:
    bound = 4 * SMALLEST_BYTES
    spool = Spool(tmp_path, most_bytes=bound)
    spool.append(rows(0))
    reader = sqlite3.connect(spool.path, isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from records").fetchall()

    def fill() -> None:
        for _ in range(1000):
            spool.append([row(size=20_000)])

    with pytest.raises(SpoolFull):
        fill()
    assert on_disk(tmp_path) <= bound
    reader.close()
    spool.append(rows(1))
    spool.close()


def test_each_process_claims_a_file_of_its_own_and_a_freed_one_is_taken_up_with_what_is_in_it(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, most_bytes=ROOM), Spool(tmp_path, most_bytes=ROOM)
    assert [spool.path.name for spool in (first, second)] == ["spool-0.sqlite", "spool-1.sqlite"]
    first.append(rows(1, 2))
    first.close()
    third = Spool(tmp_path, most_bytes=ROOM)
    assert third.path == first.path
    assert routes(third.peek(10, 1000)) == [1, 2]
    second.close()
    third.close()


def test_an_orphan_is_claimed_only_while_it_holds_records_and_no_process_holds_it(tmp_path: Path) -> None:
    own, other, empty = (Spool(tmp_path, most_bytes=ROOM) for _ in range(3))
    other.append(rows(7))
    empty.close()
    assert own.claim_orphan() is None
    other.close()
    orphan = own.claim_orphan()
    assert orphan is not None
    assert routes(orphan.peek(10, 1000)) == [7]
    assert own.claim_orphan() is None
    orphan.remove(orphan.peek(10, 1000)[-1].seq)
    orphan.close()
    assert own.claim_orphan() is None
    own.close()


def test_counting_tells_tenants_and_hours_of_all_files_beside_their_writers(tmp_path: Path) -> None:
    assert count_spooled(tmp_path / "absent") == Counter()
    first, second = Spool(tmp_path, most_bytes=ROOM), Spool(tmp_path, most_bytes=ROOM)
    assert count_spooled(tmp_path) == Counter()
    hour = hour_of(MOMENT)
    first.append([row(hour=hour), row(hour=hour), row(hour=hour + 1)])
    second.append([row(hour=hour), row(tenant_id="globex", hour=hour)])
    second.close()
    (tmp_path / "spool-2.sqlite").touch()
    assert count_spooled(tmp_path) == {
        ("acme", datetime(2026, 3, 2, 10, tzinfo=UTC)): 3,
        ("acme", datetime(2026, 3, 2, 11, tzinfo=UTC)): 1,
        ("globex", datetime(2026, 3, 2, 10, tzinfo=UTC)): 1,
    }
    first.append(rows(9))
    first.close()


def test_a_damaged_file_is_named_and_never_passed_over(tmp_path: Path) -> None:
    own = Spool(tmp_path, most_bytes=ROOM)
    damaged = tmp_path / "spool-1.sqlite"
    damaged.write_bytes(b"no database at all, for sure" * 100)
    for look in (own.claim_orphan, lambda: count_spooled(tmp_path), lambda: Spool(tmp_path, most_bytes=ROOM)):
        with pytest.raises(SpoolUnusable, match=r"spool-1\.sqlite cannot be used.*\.recover"):
            look()
    own.close()


def test_damage_inside_a_file_is_told_when_it_is_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=ROOM)
    spool.append([row(number, size=5000) for number in range(200)])
    spool.close()
    content = bytearray(spool.path.read_bytes())
    content[100_000:400_000] = bytes(300_000)
    spool.path.write_bytes(content)
    with pytest.raises(SpoolUnusable, match=r"spool-0\.sqlite cannot be used"):
        Spool(tmp_path, most_bytes=ROOM).peek(1000, ROOM)


WRITER = """
import sys
from pathlib import Path
from typing import Any, cast
from pipeline.stream.spool import Row, Spool
spool = Spool(Path(sys.argv[1]), most_bytes=1 << 26)
number = 0
while True:
    spool.append([Row("acme", number + index, 0, bytes(300)) for index in range(7)])
    number += 7
    print(number, flush=True)
    if sys.argv[2] == "drain" and number % 21 == 0:
        through = spool.peek(10, 1 << 20)[-1]
        spool.remove(through.seq)
        print(-through.route, flush=True)
"""


@pytest.mark.parametrize("mode", ["append", "drain"])
def test_what_was_appended_survives_kill_nine_and_what_was_not_removed_too(tmp_path: Path, mode: str) -> None:
    for appends in (3, 40):
        folder = tmp_path / str(appends)
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), mode], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            told = [int(writer.stdout.readline()) for _ in range(appends)]
            writer.send_signal(signal.SIGKILL)
            told += [int(line) for line in writer.stdout.read().splitlines()]
        appended, removed = max(told), -min(0, *told)
        assert sum(count_spooled(folder).values()) >= appended - removed - 11
        spool = Spool(folder, most_bytes=ROOM)
        left = routes(spool.peek(1_000_000, ROOM))
        spool.close()
        # What was in the middle of being done may be done or not, as a whole.
        assert left == list(range(left[0], left[-1] + 1))
        assert left[-1] + 1 in (appended, appended + 7)
        assert left[0] in ((0, 10) if removed == 0 else (removed + 1, removed + 11))
        assert spool.path.name == "spool-0.sqlite"


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.suffix in (".sqlite", ".sqlite-wal"))


READER = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
rows = connection.execute("select seq from records")
print(rows.fetchone()[0], flush=True)
sys.stdin.read()
"""


def test_a_reader_does_not_keep_the_file_from_being_made_anew(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=ROOM)
    for _ in range(10):
        spool.append([Row("acme", 0, 0, bytes(1_000_000))])
    # In a process of its own: within one, SQLite knows all its connections.
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(spool.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "1\n", "it is in the middle of reading"
        spool.remove(spool.peek(100, ROOM)[-1].seq)
        spool.append([Row("acme", 7, 0, b"later")])
        assert routes(spool.peek(100, ROOM)) == [7]
        spool.close()
        reader.communicate("")


def test_a_damaged_orphan_keeps_no_other_from_being_drained(tmp_path: Path) -> None:
    spools = [Spool(tmp_path, most_bytes=ROOM) for _ in range(3)]
    for number, spool in enumerate(spools):
        spool.append([Row("acme", number, 0, b"value")])
    for spool in spools[1:]:
        spool.close()
    spools[1].path.write_bytes(b"no database" * 1_000)
    orphan = spools[0].claim_orphan()
    assert orphan is not None
    assert routes(orphan.peek(10, ROOM)) == [2]
    orphan.remove(orphan.peek(10, ROOM)[-1].seq)
    orphan.close()
    with pytest.raises(SpoolUnusable, match="spool-1"):
        spools[0].claim_orphan()
    spools[0].close()
