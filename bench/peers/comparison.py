"""Ours and the peers, from the same broker into the same server, with a key and deduplication on.

Everybody lands the same events into an empty table with the key (tenant, event id); one event in a
hundred is sent twice, and must be there once. The peers read JSON from a sister topic with the same
partitions, since each brings a JSON reader and none ours. Turns are interleaved. A turn is timed from
when a process is ready to read until the last row is there, group joining included; whoever looks on
counts rows four times a second, for all alike.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import psycopg
from psycopg import sql

from bench.feeding import Record, feed, records_of
from bench.landing import ADD_TENANT, TENANTS, make_events
from bench.stand import WORKBENCH, Child, Stand, new_topic
from pipeline.core.errors import StackError
from pipeline.core.events import Event
from pipeline.stream.routing import route

FOLDER = Path(__file__).parent
PYTHON = FOLDER / ".venv" / "bin" / "python"
SENT_ONCE_FOR_ONE_SENT_TWICE = 100
LOOK_SECONDS = 0.25
MOST_SECONDS = 90.0
SETUP_SECONDS = 600
READY = re.compile(r"(ready)")
LANDING = re.compile(r"(landing) \S+ as member")

GUARANTEES = {
    "ours": "exactly once: offsets, rows and ledger in one transaction; conflicts and poison kept as dead letters",
    "quixstreams": "at least once; repeats do nothing by the key, so do conflicts; poison stops it",
    "pathway": "at least once in the free edition (BSL 1.1); a repeat replaces the row",
    "dlt": "batch: one load per run, offsets with the rows; a repeat replaces the row; poison stops it",
}
CREATE = """
create schema {schema};
create table {schema}.usage_events (
    tenant_id text not null, event_id {id_type} not null, event_type text not null,
    occurred_at {time_type} not null, received_at {time_type} not null,
    user_id text, session_id text, properties jsonb not null, payload_hash text not null {more},
    primary key (tenant_id, event_id)
)
"""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn; `whole` is whether all rows were there in time."""

    rows_per_second: int
    rows: int
    whole: bool
    trouble: str = ""


class PeersBench(msgspec.Struct, frozen=True, kw_only=True):
    """The turns of each, or why there are none; `ours_over` has the medians of the ratios."""

    rows: int
    repeats: int
    turns: dict[str, list[Turn]]
    left_out: dict[str, str]
    ours_over: dict[str, float]
    guarantees: dict[str, str]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer is told."""

    bootstrap: str
    topic: str
    group: str
    host: str
    dbname: str
    user: str
    schema: str
    folder: str
    strategy: str = "delete-insert"
    """Of dlt's merge: its default, the one that deduplicates within a load."""


def measure(stand: Stand, *, rows: int = 200_000, repeats: int = 2) -> PeersBench:
    """Measure on an empty deployment, in `repeats` rounds."""
    topic, sister = new_topic("peers"), new_topic("peers-json")
    events = make_events(rows, random.Random(1))
    again = events + random.Random(2).sample(events, rows // SENT_ONCE_FOR_ONE_SENT_TWICE)
    asyncio.run(feed(stand.settings(topic), records_of(again)))
    asyncio.run(feed(stand.settings(sister), [_json_record(event) for event in again]))
    turns: dict[str, list[Turn]] = {}
    left_out = _left_out()
    with stand.database.connect_admin(autocommit=True) as admin:
        admin.cursor().executemany(ADD_TENANT, [(tenant, tenant) for tenant in TENANTS])
        order = [name for name in GUARANTEES if name not in left_out]
        for _ in range(repeats):
            for name in order:
                turn = _take_turn(stand, admin, name, topic if name == "ours" else sister, rows)
                turns.setdefault(name, []).append(turn)
            order = order[1:] + order[:1]
    return PeersBench(
        rows=rows,
        repeats=repeats,
        turns=turns,
        left_out=left_out,
        guarantees=GUARANTEES,
        ours_over={name: _ratio(turns["ours"], turns[name]) for name in turns if name != "ours"},
    )


def _left_out() -> dict[str, str]:
    """Peers that cannot run here, with the reason."""
    try:
        _ensure_environment()
    except (subprocess.SubprocessError, OSError) as error:
        told = getattr(error, "stderr", None) or b""
        reason = f"the environment cannot be made: {told.decode().strip()[-300:] or error!r}"
        return {name: reason for name in GUARANTEES if name != "ours"}
    left_out = {}
    for name in GUARANTEES:
        tried = subprocess.run([PYTHON, "-c", f"import {name}"], capture_output=True, env=_environment(), check=False)
        if name != "ours" and tried.returncode != 0:
            left_out[name] = f"it cannot be imported: {tried.stderr.decode().strip()[-300:]}"
    return left_out


def _ensure_environment() -> None:
    lock, done = FOLDER / "requirements.lock", FOLDER / ".venv" / ".ready"
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return
    uv = Path(sys.executable).with_name("uv")
    commands: tuple[list[str | Path], ...] = (
        [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, FOLDER / ".venv"],
        [uv, "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes", lock],
    )
    for command in commands:
        subprocess.run(command, capture_output=True, timeout=SETUP_SECONDS, check=True)
    done.write_bytes(lock.read_bytes())


def _take_turn(stand: Stand, admin: psycopg.Connection, name: str, topic: str, rows: int) -> Turn:
    table = _empty_table(admin, name)
    with _running(stand, name, topic) as (child, ready):
        try:
            child.wait_for(ready)
        except StackError as error:
            return Turn(rows_per_second=0, rows=0, whole=False, trouble=error.message[-500:])
        began = time.monotonic()
        seconds, found = 0.0, 0
        while found < rows and seconds < MOST_SECONDS:
            time.sleep(LOOK_SECONDS)
            found = admin.execute(sql.SQL("select count(*) from {}").format(table)).fetchall()[0][0]
            seconds = time.monotonic() - began
        trouble = "" if found == rows else child.log()[-500:]
    return Turn(rows_per_second=round(found / seconds), rows=found, whole=found == rows, trouble=trouble)


def _empty_table(admin: psycopg.Connection, name: str) -> sql.Identifier:
    """The table that it lands in, made anew; ours begins the topic anew as well."""
    if name == "ours":
        admin.execute("truncate raw.usage_events")
        admin.execute("delete from control.stream_offsets")
        return sql.Identifier("raw", "usage_events")
    schema = f"peer_{name}"
    admin.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(schema)))
    admin.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(f"{schema}_staging")))
    as_text = name in {"pathway", "dlt"}
    admin.execute(
        sql.SQL(CREATE).format(
            schema=sql.Identifier(schema),
            id_type=sql.SQL("text" if as_text else "uuid"),
            time_type=sql.SQL("text" if name == "pathway" else "timestamptz"),
            more=sql.SQL(", _dlt_load_id varchar not null, _dlt_id varchar not null" if name == "dlt" else ""),
        )
    )
    return sql.Identifier(schema, "usage_events")


@contextmanager
def _running(stand: Stand, name: str, topic: str) -> Iterator[tuple[Child, re.Pattern[str]]]:
    """The process that lands, and what its log says when it begins to read."""
    log = stand.home / f"{name}.log"
    if name == "ours":
        command = [str(WORKBENCH), "consume", "--member", "bench", "--supervised"]
        with Child(command, stand.environment(topic), log) as child:
            yield child, LANDING
        return
    address = urlsplit(stand.database.admin_url)
    job = Job(
        bootstrap=stand.bootstrap,
        topic=topic,
        group=f"{name}-{secrets.token_hex(4)}",
        host=parse_qs(address.query)["host"][0],
        dbname=address.path.lstrip("/"),
        user=address.username or "postgres",
        schema=f"peer_{name}",
        folder=str(stand.home / "peers"),
    )
    script = FOLDER / f"run_{name}.py"
    with Child([str(PYTHON), str(script), msgspec.json.encode(job).decode()], _environment(), log) as child:
        yield child, READY


def _environment() -> dict[str, str]:
    """No telemetry, from any of them."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "PATHWAY_MONITORING_SERVER": "",
        "OTEL_SDK_DISABLED": "true",
    }


def _json_record(event: Event) -> Record:
    value = {
        "tenant_id": event.tenant_id,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "user_id": event.user_id,
        "session_id": event.session_id,
        "properties": msgspec.Raw(event.properties),
        "payload_hash": event.payload_hash.hex(),
    }
    return route(event, 1), event.tenant_id.encode(), msgspec.json.encode(value)


def _ratio(ours: Sequence[Turn], theirs: Sequence[Turn]) -> float:
    ratios = [our.rows_per_second / max(1, their.rows_per_second) for our, their in zip(ours, theirs, strict=True)]
    return round(statistics.median(ratios), 2)
