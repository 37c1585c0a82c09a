"""Checks of the stream: broker, topic, how far it has landed, and what is left lying about. Nothing is created."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psycopg

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import StreamError, StreamUnavailable, WorkbenchError
from pipeline.core.settings import Settings
from pipeline.core.slots import is_held
from pipeline.stream.connection import bootstrap_servers
from pipeline.stream.looking import Extent, find_extents, find_topic
from pipeline.stream.spool import count_spooled
from pipeline.stream.topic import find_mismatches, mismatch_error
from workbench.accounting.stream import read_gaps, read_landed
from workbench.diagnosis import Check, fail, guarded, ok, warn

MUCH = 100_000
"""Records behind, from which on somebody should look."""
OPEN_LETTERS = "select count(*) from raw.dead_letters where resolved_at is null"


def examine(settings: Settings) -> Iterator[Check]:
    """The broker and the topic; of one that does not answer, only that."""
    try:
        bootstrap_servers(settings)
        topic = asyncio.run(find_topic(settings))
    except StreamUnavailable as error:
        yield fail("broker", error.message, error.remedy or "")
        return
    except WorkbenchError as error:
        yield fail("kafka", error.message, error.remedy or "")
        return
    yield ok("broker", ", ".join(bootstrap_servers(settings)))
    name = settings.kafka.topic
    if topic is None:
        yield warn("topic", f"{name} is not there yet", "The API or `workbench consume` creates it when it begins.")
        return
    if mismatches := find_mismatches(topic, settings):
        mismatch = mismatch_error(mismatches, settings)
        yield fail("topic", mismatch.message, mismatch.remedy or "")
    else:
        yield ok("topic", f"{name}, {topic.partitions} partitions, {topic.replicas} replicas")


def examine_landing(settings: Settings, database: Database) -> Iterator[Check]:
    """How far the stream has landed, as the database knows it; for a database at this release."""
    with database.connect(ServiceRole.STEWARD, autocommit=True, application="workbench_doctor") as connection:
        yield guarded("landing", lambda: landing(settings, connection))
        yield guarded("gaps", lambda: gaps(settings, connection))
        yield guarded("dead letters", lambda: dead_letters(connection))


def landing(settings: Settings, connection: psycopg.Connection) -> Check:
    """How far landing is behind the end of the topic."""
    landed = read_landed(connection, settings.kafka.topic)
    try:
        extents = asyncio.run(find_extents(settings))
    except StreamError:
        return warn("landing", "the lag is not known: the broker does not answer", "See the broker's line.")
    return judge_landing(extents, landed)


def judge_landing(extents: dict[int, Extent], landed: dict[int, int]) -> Check:
    """What these ends and offsets mean."""
    lost = sorted(p for p, offset in landed.items() if p in extents and offset > extents[p].end)
    if lost:
        return warn(
            "landing",
            f"partitions {lost} end before what was landed of them: the topic was made anew, or has lost its end",
            "`workbench consume` begins them anew when it next starts; ask the owner of the brokers what happened.",
        )
    lag = sum(max(0, extent.end - max(landed.get(p, 0), extent.beginning)) for p, extent in extents.items())
    if not landed and lag:
        return warn("landing", f"nothing has landed yet, {lag:,} records wait", "Start `workbench consume`.")
    told = f"{lag:,} records behind in {len(extents)} partitions, {sum(landed.values()):,} landed"
    if lag > MUCH:
        return warn("landing", told, "See that `workbench consume` runs, and run more of them on more cores.")
    return ok("landing", told)


def gaps(settings: Settings, connection: psycopg.Connection) -> Check:
    """Whether the broker removed records that had not landed."""
    found = read_gaps(connection, settings.kafka.topic)
    if not found:
        return ok("gaps", "no record was removed before it landed")
    records = sum(gap.records for gap in found)
    return warn(
        "gaps",
        f"{records:,} records were removed by the broker before they landed, last found {found[-1].found_at:%F %H:%MZ}",
        "Keep records for longer than consumers may be away (WORKBENCH_KAFKA_RETENTION_HOURS); `workbench status` "
        "lists the gaps. Senders that still have these events may send them again: what did land stays single.",
    )


def dead_letters(connection: psycopg.Connection) -> Check:
    """Whether events wait that could not be stored."""
    row = connection.execute(OPEN_LETTERS).fetchone()
    letters = int(row[0]) if row else 0
    if not letters:
        return ok("dead letters", "none is open")
    return warn("dead letters", f"{letters:,} are open", "See `workbench deadletters list`, mend and replay them.")


def spools(folder: Path) -> Check:
    """Whether acknowledged events lie on this machine, and nobody drains them."""
    spooled = count_spooled(folder).total()
    if not spooled:
        return ok("spool", "nothing is spooled on this machine")
    told = f"{spooled:,} acknowledged events wait in {folder}"
    # A process drains its own spool and those that no process holds.
    if any(is_held(lock) for lock in folder.glob("*.lock")):
        return warn("spool", told, "They are drained once the broker answers; see that it does.")
    return warn("spool", f"{told}, and no API of this folder runs", "Start `workbench up` or `workbench serve`.")
