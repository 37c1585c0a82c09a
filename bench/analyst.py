"""How an analyst reads, measured against its limits: `Workbench` on a million events of one tenant among others.

rows of a tenth of a second   1,000 rows of a time range through a warm `Workbench.sql`
many rows                     200,000 rows through `Workbench.sql`, without and with a bound value, against
                              `pandas.read_sql` over SQLAlchemy and psycopg 3, as the same login, in turns
a whole table                 events by day as a chart wants them: from the database, which makes the
                              extract, and from the extract, in a workbench that has just been opened
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import pandas
import polars as pl
import sqlalchemy

from bench.reading import FILL_FACTS
from pipeline.core.database import Database, sqlalchemy_url
from pipeline.core.tenants import add_tenant, tenant_login
from workbench.cli.output import console, print_rows
from workbench.session import Workbench, open_workbench

TENANT = "bench-1"
"""It has all events but those of a few others: facts are dealt by a Zipf-like law."""
TENANTS = 4
EVENTS = 1_000_000
FEW, MANY = 1_000, 200_000
MOST_OF_PANDAS = 0.35
MOST_P50_MILLISECONDS = 10.0
MOST_OF_COLD = 0.1
"""The bars."""

TOP_UP = """
update marts.fct_usage_events set tenant_id = %(tenant)s where tenant_id <> %(tenant)s
and event_id in (
    select event_id from marts.fct_usage_events where tenant_id <> %(tenant)s
    limit greatest(%(events)s - (select count(*) from marts.fct_usage_events where tenant_id = %(tenant)s), 0)
)
"""
COLUMNS = "event_id, event_type, occurred_at, occurred_on, received_at, lag_seconds, user_id, session_id, properties"
FEW_ROWS = f"select {COLUMNS} from analytics.fct_usage_events where occurred_at >= $1 limit {FEW}"  # noqa: S608
MANY_ROWS = f"select {COLUMNS} from analytics.fct_usage_events limit {MANY}"  # noqa: S608
MANY_ROWS_BOUND = f"select {COLUMNS} from analytics.fct_usage_events limit $1"  # noqa: S608

T = TypeVar("T")
Tell = Callable[[str], None]


class AnalystBench(msgspec.Struct, frozen=True, kw_only=True):
    """Medians, in milliseconds, and what they are compared with."""

    events: int
    few_p50: float
    few_p95: float
    many: Mapping[str, float]
    many_of_pandas: Mapping[str, float]
    """The bar is at 0.35."""
    cold: float
    cached: float
    cached_of_cold: float
    """The bar is at 0.1."""


def measure(
    database: Database, folder: Path, *, events: int = EVENTS, turns: int = 5, tell: Tell = lambda _: None
) -> AnalystBench:
    """Fill the facts of an empty deployment, and read; extracts go to a folder in `folder`."""
    _fill(database, events)
    tell(f"{events:,} events")
    cache_dir = folder / "extracts"
    with closing(open_workbench(database, TENANT, cache_dir=cache_dir)) as wb:
        few = _few(wb)
        tell(f"{FEW:,} rows: {statistics.median(few):.1f} ms")
        many = _many(wb, database.login_url(tenant_login(database, TENANT)), turns)
        tell(f"{MANY:,} rows: {many}")
    cold, cached = _whole(database, cache_dir, turns)
    tell(f"A chart of {events:,} events: {cold:,.0f} ms, then {cached:,.0f} ms")
    return AnalystBench(
        events=events,
        few_p50=round(statistics.median(few), 2),
        few_p95=round(statistics.quantiles(few, n=20)[-1], 2),
        many=many,
        many_of_pandas={way: round(milliseconds / many["pandas.read_sql"], 3) for way, milliseconds in many.items()},
        cold=round(cold, 1),
        cached=round(cached, 1),
        cached_of_cold=round(cached / cold, 3),
    )


def print_analyst(result: AnalystBench) -> None:
    """One row per measurement."""
    rows: list[dict[str, object]] = [
        {"what": f"{FEW:,} rows, p50", "ms": result.few_p50, "ratio": "", "bar": f"{MOST_P50_MILLISECONDS:g} ms"},
        {"what": f"{FEW:,} rows, p95", "ms": result.few_p95, "ratio": "", "bar": ""},
        *(
            {"what": f"{MANY:,} rows, {way}", "ms": ms, "ratio": result.many_of_pandas[way], "bar": MOST_OF_PANDAS}
            for way, ms in result.many.items()
        ),
        {"what": "chart of a table, cold", "ms": result.cold, "ratio": 1.0, "bar": ""},
        {
            "what": "chart of a table, cached",
            "ms": result.cached,
            "ratio": result.cached_of_cold,
            "bar": MOST_OF_COLD,
        },
    ]
    print_rows(rows, title=f"An analyst reads, on {result.events:,} events")
    console.print("Ratios are over pandas.read_sql, and over the cold read.")


def _fill(database: Database, events: int) -> None:
    add_tenant(database, TENANT)
    with database.connect_admin(autocommit=True) as admin:
        admin.execute(FILL_FACTS, {"rows": int(events * 1.5), "tenants": TENANTS})
        admin.execute(TOP_UP, {"tenant": TENANT, "events": events})
        admin.execute("vacuum full analyze marts.fct_usage_events")


def _few(wb: Workbench) -> list[float]:
    """Milliseconds of each of two hundred reads, at different places."""
    starts = wb.sql("select day::timestamptz from generate_series(date '2026-01-02', '2026-03-20', '1 day') as day")
    places = starts["day"].to_list()
    found = []
    for number in range(200):
        place = places[number % len(places)]
        milliseconds, answer = _timed(partial(wb.sql, FEW_ROWS, [place]))
        if answer.height != FEW:
            raise AssertionError(f"{answer.height:,} rows were read, not {FEW:,}")
        found.append(milliseconds)
    return found


def _many(wb: Workbench, url: str, turns: int) -> dict[str, float]:
    engine = sqlalchemy.create_engine(sqlalchemy_url(url))

    def by_pandas() -> pandas.DataFrame:
        with engine.connect() as connection:
            return pandas.read_sql(sqlalchemy.text(MANY_ROWS), connection)

    ways: dict[str, Callable[[], object]] = {
        "Workbench.sql": lambda: wb.sql(MANY_ROWS),
        "Workbench.sql, bound": lambda: wb.sql(MANY_ROWS_BOUND, [MANY]),
        "pandas.read_sql": by_pandas,
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(turns):
        for way, read in ways.items():
            milliseconds, _answer = _timed(read)
            found[way].append(milliseconds)
    engine.dispose()
    return {way: round(statistics.median(times), 1) for way, times in found.items()}


def _whole(database: Database, cache_dir: Path, turns: int) -> tuple[float, float]:
    """Medians of the first read of a table, and of one from its extract; each in a workbench of its own."""
    cold: list[float] = []
    cached: list[float] = []
    for _ in range(turns):
        shutil.rmtree(cache_dir, ignore_errors=True)
        for found in (cold, cached):
            with closing(open_workbench(database, TENANT, cache_dir=cache_dir)) as wb:
                wb.freshness()
                milliseconds, _days = _timed(partial(_chart_data, wb))
                found.append(milliseconds)
    return statistics.median(cold), statistics.median(cached)


def _chart_data(wb: Workbench) -> pl.DataFrame:
    events = wb.table("fct_usage_events")
    return events.group_by("occurred_on", "event_type").len().sort("occurred_on", "event_type").collect()


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    answer = work()
    return 1000 * (time.perf_counter() - began), answer
