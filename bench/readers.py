"""What readers notice of promotions: a tenant's dashboard, read at a constant rate, while nothing is published
and while one promotion follows the other.

Reader and promoter are processes of their own, as they are in production, and this one waits. Turns
alternate in one run: idle, promoting, promoting with a low priority of the promoter's process (`nice`).
Each read of a promoting turn is counted for the step during which it began.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import msgspec

from bench.promotion import BEGINNING, History, PassesAll
from checks.gate import ExpectationsGate
from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole, connect
from pipeline.core.tenants import add_tenant, tenant_login
from pipeline.promote.promoter import Promoter

TENANTS = 1_000
READER = "tenant-1"
"""The largest tenant: some tenth of all events are its own."""
FACTS = 400_000
DELTA = 5_000
READS_A_SECOND = 50
SECONDS = 30.0
ROUNDS = 3
NICE = 10
APART = timedelta(days=30)
"""The histories of the promoters lie so far apart."""
MOST_P99 = 1.3
"""The bar: while promotions are published, over idle."""

QUERIES = (
    "select day, sum(events) from tenant_usage_metrics group by 1 order by 1",
    "select user_id, events from dim_users order by events desc, user_id limit 10",
    (
        "select event_type, count(*) from fct_usage_events where occurred_at >= "
        "(select max(day) from tenant_usage_metrics)::timestamptz group by 1 order by 2 desc"
    ),
)
ADD_TENANTS = """
insert into control.tenants (tenant_id, display_name)
select 'tenant-' || rank, 'Tenant ' || rank from generate_series(1, %(tenants)s) as rank
on conflict do nothing
"""

Turn = Literal["idle", "promoting", "promoting, nice"]
TURNS: tuple[Turn, ...] = get_args(Turn)
Tell = Callable[[str], None]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from when a read was due until its answer was there."""

    reads: int
    p50: float
    p99: float


class ReadersBench(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds together, and the median over rounds of the ratio of p99 to that of the idle turn."""

    facts: int
    promotions: int
    turns: Mapping[Turn, Latency]
    p99_of_idle: Mapping[Turn, float]
    steps: Mapping[str, Latency]
    """Of the promoting turns, without `nice`, by what the promotion was at."""
    most_p99: float = MOST_P99


class Read(msgspec.Struct, frozen=True, array_like=True):
    """When it was due, by the clock of the machine, and how long the answer took, in milliseconds."""

    due: float
    milliseconds: float


class Began(msgspec.Struct, frozen=True, array_like=True):
    """When a step of a promotion began, by the clock of the machine; `landing` lies between promotions."""

    at: float
    step: str


def measure(
    database: Database,
    dbt_dir: Path,
    *,
    facts: int = FACTS,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    tell: Tell = lambda _: None,
) -> ReadersBench:
    """Promote history on an empty deployment, then let each turn take so many seconds, `rounds` times."""
    add_tenant(database, READER)
    with database.connect_admin() as admin:
        admin.execute(ADD_TENANTS, {"tenants": TENANTS})
    history = History(database, Promoter(database, PassesAll(), dbt_dir, utc_now))
    grown = history.grow(facts, tell)
    reads: dict[Turn, list[list[Read]]] = {turn: [] for turn in TURNS}
    steps: list[Began] = []
    with (
        _Promoting(database, dbt_dir, BEGINNING + APART, nice=0) as usual,
        _Promoting(database, dbt_dir, BEGINNING + 2 * APART, nice=NICE) as nice,
    ):
        for _ in range(rounds):
            for turn, promoting in zip(TURNS, (None, usual, nice), strict=True):
                found, began = _turn(database, promoting, seconds)
                reads[turn].append(found)
                steps += began if turn == "promoting" else []
                tell(f"{turn}: {_latency(found)}")
    return _bench(grown, reads, steps)


def _turn(database: Database, promoting: _Promoting | None, seconds: float) -> tuple[list[Read], list[Began]]:
    url = database.login_url(tenant_login(database, READER))
    command = [sys.executable, "-m", "bench.readers", "read", url, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as reader:
        began = [] if promoting is None else promoting.promote_for(seconds)
        told, _ = reader.communicate()
    return msgspec.json.decode(told, type=list[Read]), began


def _bench(grown: int, reads: Mapping[Turn, list[list[Read]]], steps: Sequence[Began]) -> ReadersBench:
    idle = [_latency(found).p99 for found in reads["idle"]]
    return ReadersBench(
        facts=grown,
        promotions=sum(each.step == "landing" for each in steps),
        turns={turn: _latency(read for found in rounds for read in found) for turn, rounds in reads.items()},
        p99_of_idle={
            turn: round(statistics.median(_latency(f).p99 / i for f, i in zip(rounds, idle, strict=True)), 2)
            for turn, rounds in reads.items()
        },
        steps=_by_step((read for found in reads["promoting"] for read in found), steps),
    )


def _by_step(reads: Iterable[Read], steps: Sequence[Began]) -> dict[str, Latency]:
    moments = [each.at for each in steps]
    found: dict[str, list[Read]] = {}
    for read in reads:
        if position := bisect_right(moments, read.due):
            found.setdefault(steps[position - 1].step, []).append(read)
    return {step: _latency(those) for step, those in found.items()}


def _latency(reads: Iterable[Read]) -> Latency:
    ordered = sorted(read.milliseconds for read in reads)
    rank = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)]
    return Latency(reads=len(ordered), p50=round(rank[0], 2), p99=round(rank[1], 2))


class _Promoting:
    """A resident promoter in a process of its own, told for how many seconds to promote; ends with the block."""

    def __init__(self, database: Database, dbt_dir: Path, beginning: datetime, *, nice: int) -> None:
        command = ["nice", "-n", str(nice), sys.executable, "-m", "bench.readers", "promote"]
        self._process = subprocess.Popen(
            [*command, database.admin_url, str(dbt_dir), beginning.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def promote_for(self, seconds: float) -> list[Began]:
        """Promote for so long, and tell when each step began."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("it has pipes")
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=list[Began])

    def __enter__(self) -> _Promoting:
        # Imports and parses, as a resident one has.
        self.promote_for(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _read(url: str, seconds: float) -> list[Read]:
    """The reader's process: one query after the other, each at its time, in the steps of a constant rate."""
    reads = []
    with connect(url, autocommit=True, application="bench") as connection:
        began = time.time()
        for number in range(int(seconds * READS_A_SECOND)):
            due = began + number / READS_A_SECOND
            time.sleep(max(0.0, due - time.time()))
            connection.execute(QUERIES[number % len(QUERIES)].encode()).fetchall()
            reads.append(Read(due, 1000 * (time.time() - due)))
    return reads


def _promote(admin_url: str, dbt_dir: Path, beginning: datetime) -> None:
    """The promoter's process: for each line with a number, promotes small deltas for so many seconds."""
    database = Database(admin_url=admin_url)
    promoter = Promoter(database, ExpectationsGate(database.url(ServiceRole.PUBLISHER)), dbt_dir, utc_now)
    history = History(database, promoter, beginning=beginning)
    for line in sys.stdin:
        steps: list[Began] = []
        ends = time.time() + float(line)
        while time.time() < ends:
            steps.append(Began(time.time(), "landing"))
            history.land(DELTA, a_day=24 * DELTA)
            promotion = promoter.promote(progress=partial(_note, steps))
            if promotion.held:
                raise AssertionError(f"what was landed is good, but: {promotion.held}")
        print(msgspec.json.encode(steps).decode(), flush=True)


def _note(steps: list[Began], words: str) -> None:
    steps.append(Began(time.time(), words.split()[0].lower()))


if __name__ == "__main__":
    if sys.argv[1] == "read":
        print(msgspec.json.encode(_read(sys.argv[2], float(sys.argv[3]))).decode())
    else:
        _promote(sys.argv[2], Path(sys.argv[3]), datetime.fromisoformat(sys.argv[4]))
