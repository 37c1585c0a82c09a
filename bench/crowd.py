"""A crowd at the notebooks: sixty people of twenty tenants who open one at the same moment, while events keep coming.

    alone      one person after another, from asking for the notebook's page to the end of its first run
    at once    all of them at the same moment
    ingest     latency of single events at a constant rate, with nobody at the notebooks and with the crowd

The notebook server and the ingest API are the product's own processes. Clients, both servers and the
database share the machine. The extracts are there, as they are after the first person of each tenant.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from websockets.asyncio.client import connect
from websockets.typing import Origin

from bench.load import Plan, Sent, Stream
from bench.promotion import History, PassesAll
from bench.publishing import generate
from bench.stand import LISTENING, WORKBENCH, Child, Stand
from pipeline.core.clock import utc_now
from pipeline.core.key_register import create_key
from pipeline.core.tenants import add_tenant
from pipeline.promote.promoter import Promoter
from workbench.cli.output import console, print_rows
from workbench.people.register import add_user

TENANTS = 20
PEOPLE_EACH = 3
EVENTS = 200_000
NOTEBOOK = "overview"
ALONE = 10
RATE = 100
INGEST_SECONDS = 12.0
FIRST_SECONDS = 2.0
"""How long events have been coming when the crowd does."""
PATIENCE_SECONDS = 120.0
MOST_READY_RATIO, MOST_INGEST_RATIO = 3.0, 1.5
"""The bars: of the crowd's p95 to one alone, and of the ingest's p99 with the crowd to it without."""
PASSWORD = "a crowd at the notebooks"
SERVING = re.compile(r"notebooks at (http://\S+)")
FORM = re.compile(r'name="form" value="([^"]+)"')
ENDED = '"completed-run"'
TABS = itertools.count()
"""Each tab is a new one, whose notebook runs anew."""


class CrowdBench(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds until a notebook is ready, and what the ingest API answers in meanwhile."""

    people: int
    alone: float
    """Median of one after another."""
    p50: float
    p95: float
    ready_ratio: float
    ingest_idle: Sequence[Sent]
    ingest_with_crowd: Sequence[Sent]
    ingest_ratio: float
    """Median over the turns, of the p99."""


class Person(msgspec.Struct, frozen=True):
    """Somebody who has signed in."""

    url: str
    cookie: str


def measure(stand: Stand, dbt_dir: Path, *, repeats: int = 3) -> CrowdBench:
    """Measure on an empty deployment: `repeats` turns of ingest without and with a crowd of new sessions."""
    key = _publish(stand, dbt_dir)
    with _processes(stand) as (notebooks, ingest):
        people = asyncio.run(_sign_in(notebooks))
        for person in people[::PEOPLE_EACH]:
            asyncio.run(_open(person))
        alone = statistics.median(asyncio.run(_open(person)) for person in people[1 : 1 + ALONE])
        _ingest(ingest, key, FIRST_SECONDS)
        idle, busy, ready = [], [], []
        for _ in range(repeats):
            idle.append(_ingest(ingest, key, INGEST_SECONDS))
            sent, seconds = asyncio.run(_meanwhile(people, ingest, key))
            busy.append(sent)
            ready.extend(seconds)
    p95 = statistics.quantiles(ready, n=20)[-1]
    return CrowdBench(
        people=len(people),
        alone=round(alone, 3),
        p50=round(statistics.median(ready), 3),
        p95=round(p95, 3),
        ready_ratio=round(p95 / alone, 2),
        ingest_idle=idle,
        ingest_with_crowd=busy,
        ingest_ratio=round(statistics.median(b.p99 / a.p99 for a, b in zip(idle, busy, strict=True)), 2),
    )


def print_crowd(result: CrowdBench) -> None:
    """One row per measurement."""
    rows: list[dict[str, object]] = [
        {"what": "one notebook alone, s", "p50": result.alone, "p95 or p99": "", "ratio": "", "bar": ""},
        {
            "what": f"{result.people} notebooks at once, s",
            "p50": result.p50,
            "p95 or p99": result.p95,
            "ratio": result.ready_ratio,
            "bar": MOST_READY_RATIO,
        },
    ]
    for what, turns, ratio in (
        ("ingest with nobody there, ms", result.ingest_idle, None),
        ("ingest with the crowd, ms", result.ingest_with_crowd, result.ingest_ratio),
    ):
        rows.append(
            {
                "what": what,
                "p50": statistics.median(turn.p50 for turn in turns),
                "p95 or p99": statistics.median(turn.p99 for turn in turns),
                "ratio": "" if ratio is None else ratio,
                "bar": "" if ratio is None else MOST_INGEST_RATIO,
            }
        )
    print_rows(rows, title="A crowd at the notebooks")
    console.print("Notebooks are at p95, ingest is at p99.")


def _publish(stand: Stand, dbt_dir: Path) -> str:
    """Tenants with published data and people; answers an ingest key of one more tenant."""
    tenants = [f"tenant-{number}" for number in range(1, TENANTS + 1)]
    for tenant_id in tenants:
        add_tenant(stand.database, tenant_id)
        for number in range(PEOPLE_EACH):
            add_user(
                stand.database,
                f"{number}@{tenant_id}.example",
                role="analyst",
                tenant_id=tenant_id,
                password=PASSWORD,
                actor="bench",
            )
    history = History(stand.database, Promoter(stand.database, PassesAll(), dbt_dir, utc_now), tenants=TENANTS)
    history.grow(EVENTS, lambda _: None)
    add_tenant(stand.database, "sender")
    return create_key(stand.database, "sender")


@contextmanager
def _processes(stand: Stand) -> Iterator[tuple[str, str]]:
    """The addresses of the notebook server and of the ingest API, which lands by itself."""
    environment = {"WORKBENCH_HOME": str(stand.home), "WORKBENCH_NOTEBOOKS_KEEP_SECONDS": "1"}
    notebooks = [str(WORKBENCH), "notebooks", "--port", "0", "--supervised"]
    ingest = [str(WORKBENCH), "serve", "--port", "0", "--supervised"]
    with (
        Child(notebooks, environment, stand.home / "notebooks.log") as serving,
        Child(ingest, environment, stand.home / "serve.log") as api,
    ):
        yield serving.wait_for(SERVING), api.wait_for(LISTENING)


async def _sign_in(url: str) -> list[Person]:
    """Everybody, one after another."""
    people = []
    for tenant in range(1, TENANTS + 1):
        for number in range(PEOPLE_EACH):
            async with httpx.AsyncClient(base_url=url, headers={"origin": url}, timeout=PATIENCE_SECONDS) as browser:
                form = FORM.search((await browser.get("/sign-in")).text)
                email = f"{number}@tenant-{tenant}.example"
                entered = await browser.post(
                    "/sign-in", data={"form": form[1] if form else "", "email": email, "password": PASSWORD}
                )
                if entered.status_code != httpx.codes.SEE_OTHER:
                    raise AssertionError(f"{email} could not sign in: {entered.status_code}")
                cookie = f"workbench_sign_in={browser.cookies['workbench_sign_in']}"
                people.append(Person(url, cookie))
    return people


async def _open(person: Person) -> float:
    """Seconds from asking for a notebook's page to the end of its first run; the tab is closed afterwards."""
    address = f"{person.url}/notebooks/{NOTEBOOK}/"
    began = time.perf_counter()
    async with httpx.AsyncClient(headers={"cookie": person.cookie}, timeout=PATIENCE_SECONDS) as browser:
        (await browser.get(address)).raise_for_status()
    socket = f"{address.replace('http', 'ws', 1)}ws?{urlencode({'session_id': f's_{next(TABS):06x}'})}"
    headers, origin = {"cookie": person.cookie}, Origin(person.url)
    async with connect(
        socket,
        additional_headers=headers,
        origin=origin,
        open_timeout=PATIENCE_SECONDS,
        max_size=None,
        max_queue=None,
    ) as tab:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for said in tab:
                if ENDED in str(said):
                    break
        return time.perf_counter() - began


async def _meanwhile(people: Sequence[Person], ingest: str, key: str) -> tuple[Sent, list[float]]:
    """A turn of ingest, and the seconds of each notebook of a crowd that comes soon after its beginning."""
    sending = asyncio.create_task(asyncio.to_thread(_ingest, ingest, key, INGEST_SECONDS))
    await asyncio.sleep(FIRST_SECONDS)
    seconds = await asyncio.gather(*(_open(person) for person in people))
    return await sending, list(seconds)


def _ingest(url: str, key: str, seconds: float) -> Sent:
    address = urlsplit(url)
    stream = Stream(key=key, batch=1, connections=8, rate=RATE)
    [sent] = generate(
        Plan(host=str(address.hostname), port=address.port or 0, seconds=seconds, streams=[stream])
    ).streams
    if set(sent.statuses) != {"200"}:
        raise AssertionError(f"requests failed: {sent.statuses}")
    return sent
