"""The consumer on a real broker and a real database: what is in the topic lands once, whatever happens to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from broker.local import LocalBroker
from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import StreamError
from pipeline.core.events import Event
from pipeline.core.settings import Settings
from pipeline.land.landing import StreamLander
from pipeline.stream import consumption
from pipeline.stream.topic import ensure_topic
from tests.conftest import NewTenant
from tests.factories import event
from tests.integration.land.deliveries import assert_balanced, ledger, letters, offsets
from tests.integration.stream.consuming import PARTITIONS, Member, consuming, partitions_of, publish, settings_of, until
from tests.integration.stream.topics import administration
from tests.kafka import SharedBroker

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _acme(new_tenant: NewTenant) -> None:
    new_tenant("acme")


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect_admin(autocommit=True) as connection:
        yield connection


@pytest.fixture
async def settings(durable_broker: SharedBroker, topic: str) -> Settings:
    """Of a topic that is there."""
    made = settings_of(durable_broker.bootstrap, topic)
    await ensure_topic(made)
    return made


def spread(count: int) -> list[tuple[int, Event]]:
    """New events in turn over the partitions."""
    return [(number % PARTITIONS, event()) for number in range(count)]


async def until_landed(admin: psycopg.Connection, settings: Settings, ends: dict[int, int]) -> None:
    """Wait until the offsets are there."""
    topic = settings.kafka.topic
    wanted = {(topic, partition): end for partition, end in ends.items()}
    await until(
        lambda: {key: offset for key, offset in offsets(admin).items() if key[0] == topic} == wanted,
        f"{wanted}, there are {offsets(admin)}",
    )


async def test_what_is_in_the_topic_lands_with_its_origins(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    sent = spread(300)
    await publish(settings, [*sent, (1, b"junk"), (2, b""), (0, event(user_id="\0", original=b"poison"))])
    async with consuming(settings, database) as member:
        await until_landed(admin, settings, {0: 101, 1: 101, 2: 101})
    topic = settings.kafka.topic
    assert letters(admin) == [
        (topic, 0, 100, "acme", "refused_by_database", b"poison", None),
        (topic, 1, 100, "acme", "undecodable", b"junk", None),
        (topic, 2, 100, "acme", "undecodable", b"", None),
    ]
    rows = {row for (row,) in admin.execute("select event_id from raw.usage_events").fetchall()}
    assert rows == {each.event_id for _, each in sent}
    assert sum(counts[0] for counts in ledger(admin).values()) == 303
    assert_balanced(admin)
    assert member.records == 303
    assert member.landed[-1].lag == {0: 0, 1: 0, 2: 0}


async def test_it_goes_on_exactly_where_it_was_and_what_it_told_the_broker_is_so(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(90))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
    reader = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=settings.kafka.group, enable_auto_commit=False
    )
    await reader.start()
    assert {tp.partition: await reader.committed(tp) for tp in partitions_of(settings.kafka.topic)} == {
        0: 30,
        1: 30,
        2: 30,
    }
    await reader.stop()
    await publish(settings, spread(30))
    async with consuming(settings, database) as member:
        await until_landed(admin, settings, {0: 40, 1: 40, 2: 40})
        await publish(settings, spread(30))
        await until_landed(admin, settings, {0: 50, 1: 50, 2: 50})
    assert member.records == 60
    assert ledger(admin) == {"acme": (150, 150, 0, 0)}


@pytest.mark.parametrize("committed", [0, 7, 25, 30], ids=["behind", "a bit behind", "ahead", "at the end"])
async def test_offsets_that_the_broker_knows_are_not_believed(
    settings: Settings, database: Database, admin: psycopg.Connection, committed: int
) -> None:
    await publish(settings, spread(90))
    lander = StreamLander(lambda: database.connect(ServiceRole.LANDER))
    lander.find_offsets(settings.kafka.topic, dict.fromkeys(range(PARTITIONS), 10))
    lander.close()
    reader = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=settings.kafka.group, enable_auto_commit=False
    )
    reader.assign(partitions_of(settings.kafka.topic))
    await reader.start()
    await reader.commit(dict.fromkeys(partitions_of(settings.kafka.topic), committed))
    await reader.stop()
    async with consuming(settings, database) as member:
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
    assert member.records == 60
    assert ledger(admin) == {"acme": (60, 60, 0, 0)}


async def test_members_share_the_partitions_and_one_takes_over_from_another_that_leaves(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    ends = dict.fromkeys(range(PARTITIONS), 0)

    async def publish_more() -> None:
        await publish(settings, spread(30))
        for partition in ends:
            ends[partition] += 10

    async with consuming(settings, database, member="first") as first:
        await publish_more()
        await until_landed(admin, settings, ends)
        async with consuming(settings, database, member="second") as second:

            async def until_both_land() -> None:
                async with asyncio.timeout(40):
                    while not (second.partitions and first.partitions):
                        await publish_more()
                        await until_landed(admin, settings, ends)

            first.landed.clear()
            await until_both_land()
            first.landed.clear()
            second.landed.clear()
            await until_both_land()
            assert first.partitions | second.partitions == set(range(PARTITIONS))
            assert not first.partitions & second.partitions
            await publish_more()
            await first.stop()
            await until_landed(admin, settings, ends)
            await publish_more()
            second.landed.clear()
            await until_landed(admin, settings, ends)
            await until(lambda: second.partitions == set(range(PARTITIONS)), "the second to land everything")
    assert ledger(admin) == {"acme": (3 * ends[0], 3 * ends[0], 0, 0)}
    assert_balanced(admin)


async def test_a_member_that_hangs_in_a_rebalance_loses_its_partitions_and_lands_nothing_twice(
    settings: Settings, database: Database, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumption, "REVOCATION_SECONDS", 0.2)
    await publish(settings, spread(600))
    async with consuming(settings, database, member="first", most_records=60) as first:
        await until(lambda: first.landed, "the first delivery")
        first.landing.free.clear()
        await until(lambda: first.landing.held, "a landing that is held")
        async with consuming(settings, database, member="second", most_records=60) as second:
            # It takes over what the first still holds a delivery of.
            await until(lambda: second.landed, "the second to land")
            first.landing.free.set()
            await until_landed(admin, settings, {0: 200, 1: 200, 2: 200})
            await until(lambda: first.records + second.records == 600, "every delivery to be told of")
    assert ledger(admin) == {"acme": (600, 600, 0, 0)}
    assert_balanced(admin)


async def test_an_idle_member_takes_over_what_another_leaves_undone(
    settings: Settings, database: Database, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumption, "REVOCATION_SECONDS", 0.2)
    ends = dict.fromkeys(range(PARTITIONS), 0)
    async with consuming(settings, database, member="first") as first:
        async with consuming(settings, database, member="second") as second:
            while not second.partitions:
                await publish(settings, spread(30))
                ends = {partition: end + 10 for partition, end in ends.items()}
                await until_landed(admin, settings, ends)
            second.landing.away = True
            tried = second.landing.tried
            await publish(settings, spread(30))
            ends = {partition: end + 10 for partition, end in ends.items()}
            await until(lambda: second.landing.tried > tried, "the second to have something to land")
            await second.stop()
        await until_landed(admin, settings, ends)
        assert first.task is not None
        assert not first.task.done()
    assert ledger(admin) == {"acme": (3 * ends[0], 3 * ends[0], 0, 0)}


async def test_partitions_are_given_back_when_the_landing_under_way_has_ended(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    on_partitions_revoked = consumption.Consumption.on_partitions_revoked

    async def revoke(self: consumption.Consumption, revoked: set[TopicPartition]) -> None:
        if revoked:
            # Only now may the landing end.
            first.landing.free.set()
            before = len(first.landed)
            await on_partitions_revoked(self, revoked)
            told.append(len(first.landed) - before)

    await publish(settings, spread(600))
    async with consuming(settings, database, member="first", most_records=30) as first:
        await until(lambda: first.landed, "the first delivery")
        monkeypatch.setattr(consumption.Consumption, "on_partitions_revoked", revoke)
        first.landing.free.clear()
        await until(lambda: first.landing.held, "a landing that is held")
        async with consuming(settings, database, member="second", most_records=30):
            await until(lambda: told, "the revocation")
            assert told[0] == 1


async def test_rebalances_in_the_middle_of_landing_neither_lose_nor_duplicate(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    ends = {0: 1_000, 1: 1_000, 2: 1_000}
    await publish(settings, spread(3_000))
    async with consuming(settings, database, member="first", most_records=30) as first:
        await until(lambda: len(first.landed) > 2, "some deliveries")
        for round_ in range(2):
            async with consuming(settings, database, member=f"guest {round_}", most_records=30) as guest:
                await until_some_land(first, guest)
        await until_landed(admin, settings, ends)
    assert ledger(admin) == {"acme": (3_000, 3_000, 0, 0)}
    assert_balanced(admin)


async def test_a_topic_that_was_made_anew_is_landed_from_its_beginning_and_the_restart_is_audited(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(90))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
    await make_anew(settings)
    await publish(settings, spread(30))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 10, 1: 10, 2: 10})
    assert ledger(admin) == {"acme": (120, 120, 0, 0)}
    [(action, details)] = admin.execute("select action, details from control.audit_log").fetchall()
    assert action == "restart topic"
    assert details["partitions"] == {"0": [30, 0], "1": [30, 0], "2": [30, 0]}


async def test_a_topic_that_was_made_anew_and_has_more_records_than_had_landed_is_landed_as_a_whole(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(30))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 10, 1: 10, 2: 10})
    await make_anew(settings)
    await publish(settings, spread(90))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
    assert ledger(admin) == {"acme": (120, 120, 0, 0)}


async def test_a_topic_that_is_made_anew_under_a_running_consumer_is_landed(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(90))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
        await make_anew(settings)
        await publish(settings, spread(30))
        await until_landed(admin, settings, {0: 10, 1: 10, 2: 10})
    assert ledger(admin) == {"acme": (120, 120, 0, 0)}


async def test_records_that_went_while_no_consumer_ran_are_a_gap_and_it_goes_on(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(30))
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 10, 1: 10, 2: 10})
    await publish(settings, spread(60))
    await delete_before(settings, {0: 25, 1: 10})
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
    assert gaps(admin) == [(0, 10, 25)]
    assert ledger(admin) == {"acme": (75, 75, 0, 0)}


async def test_records_that_go_under_a_running_consumer_are_a_gap_too(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    """The database was away for longer than the topic keeps records."""
    await publish(settings, [(0, event())])
    async with consuming(settings, database, most_records=10) as member:
        await until_landed(admin, settings, {0: 1, 1: 0, 2: 0})
        member.landing.away = True
        # More than is read ahead.
        large = bytes(range(256)) * 400
        await publish(settings, [(0, event(original=large)) for _ in range(100)])
        await until(lambda: member.landing.tried > 2, "a landing that fails")
        await delete_before(settings, {0: 99})
        member.landing.away = False
        await until_landed(admin, settings, {0: 101, 1: 0, 2: 0})
    landed = ledger(admin)["acme"][1]
    assert sum(end - start for _, start, end in gaps(admin)) == 101 - landed > 0


async def test_while_the_database_is_away_it_waits_and_then_goes_on_without_loss(
    settings: Settings, database: Database, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumption, "LONGEST_DELAY_SECONDS", 0.25)
    async with consuming(settings, database, most_records=30) as member:
        member.landing.away = True
        await publish(settings, spread(300))
        await until(lambda: member.landing.tried > 3, "some tries")
        assert offsets(admin) == {}
        member.landing.away = False
        await until(lambda: len(member.landed) > 1, "deliveries")
        member.landing.away = True
        await publish(settings, spread(300))
        tried = member.landing.tried
        await until(lambda: member.landing.tried > tried + 2, "some tries")
        member.landing.away = False
        await until_landed(admin, settings, {0: 200, 1: 200, 2: 200})
    assert ledger(admin) == {"acme": (600, 600, 0, 0)}


async def test_connections_that_are_cut_in_the_middle_of_landing_lose_and_double_nothing(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(1_500))
    async with consuming(settings, database, most_records=30) as member:
        for cuts in range(1, 5):
            await until(lambda at=cuts: len(member.landed) >= 5 * at, "deliveries")  # type: ignore[misc]
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where usename = 'workbench_lander' and datname = current_database()"
            )
        await until_landed(admin, settings, {0: 500, 1: 500, 2: 500})
    assert ledger(admin) == {"acme": (1_500, 1_500, 0, 0)}
    assert_balanced(admin)


async def test_a_broker_that_is_killed_and_comes_back_is_waited_for(
    own_broker: LocalBroker, topic: str, database: Database, admin: psycopg.Connection
) -> None:
    settings = settings_of(own_broker.bootstrap, topic)
    await ensure_topic(settings)
    await publish(settings, spread(90))
    async with consuming(settings, database) as member:
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
        await asyncio.to_thread(own_broker.kill)
        await asyncio.to_thread(own_broker.start)
        await publish(settings, spread(90))
        await until_landed(admin, settings, {0: 60, 1: 60, 2: 60})
        assert member.task is not None
        assert not member.task.done()
    assert ledger(admin) == {"acme": (180, 180, 0, 0)}
    assert_balanced(admin)


async def test_a_hot_partition_does_not_starve_the_others(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    hot = [(0, event()) for _ in range(20_000)]
    await publish(settings, [*hot, *((1, event()) for _ in range(300)), *((2, event()) for _ in range(300))])
    async with consuming(settings, database, most_records=300) as member:
        await until_landed(admin, settings, {0: 20_000, 1: 300, 2: 300})
    seen = dict.fromkeys(range(PARTITIONS), 0)
    for each in member.landed:
        for partition, move in each.delivery.moves.items():
            seen[partition] += move.next - move.expected
        if seen[1] == seen[2] == 300:
            break
    # An equal part of each delivery, and something for what was fetched first.
    assert seen[0] < 1_500
    assert max(each.delivery.records for each in member.landed) <= 300


async def test_stopping_does_not_wait_longer_than_it_may_for_a_landing_that_hangs(
    settings: Settings, database: Database, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumption, "REVOCATION_SECONDS", 0.5)
    await publish(settings, spread(90))
    async with consuming(settings, database, most_records=30) as member:
        member.landing.free.clear()
        await until(lambda: member.landing.held, "a landing that is held")
        began = time.monotonic()
        await member.stop()
        assert time.monotonic() - began < 4
        assert sum_of(admin, settings) == 0
        # It runs to its end all the same.
        member.landing.free.set()
        await until(lambda: sum_of(admin, settings), "the landing to end")
    async with consuming(settings, database):
        await until_landed(admin, settings, {0: 30, 1: 30, 2: 30})
    assert ledger(admin) == {"acme": (90, 90, 0, 0)}


async def test_stopping_finishes_the_landing_under_way(
    settings: Settings, database: Database, admin: psycopg.Connection
) -> None:
    await publish(settings, spread(90))
    async with consuming(settings, database, most_records=30) as member:
        member.landing.free.clear()
        await until(lambda: member.landing.held, "a landing that is held")
        stopping = asyncio.create_task(member.stop())
        await asyncio.sleep(0)
        member.landing.free.set()
        await stopping
        assert sum_of(admin, settings) == member.records > 0


async def test_a_topic_that_is_not_as_it_must_be_is_told(
    durable_broker: SharedBroker, topic: str, database: Database
) -> None:
    async with administration(durable_broker.bootstrap) as client:
        await client.create_topics([NewTopic(topic, PARTITIONS, 1)])
    with pytest.raises(StreamError, match="LogAppendTime"):
        async with consuming(settings_of(durable_broker.bootstrap, topic), database) as member:
            await ended(member)


async def until_some_land(first: Member, guest: Member) -> None:
    """Wait until the guest has landed something, or it comes too late for that."""
    enough = len(first.landed) + 10
    await until(lambda: guest.landed or len(first.landed) > enough or not first.behind, "deliveries in company")


async def ended(member: Member) -> None:
    """Wait until it ends by itself."""
    assert member.task is not None
    await asyncio.wait({member.task}, timeout=20)


async def make_anew(settings: Settings) -> None:
    """Delete the topic and create it again, which the broker needs a moment for."""
    async with administration(str(settings.kafka_bootstrap_servers)) as client:
        await client.delete_topics([settings.kafka.topic])
        async with asyncio.timeout(20):
            while settings.kafka.topic in await client.list_topics():
                await asyncio.sleep(0.02)
    await ensure_topic(settings)


async def delete_before(settings: Settings, befores: dict[int, int]) -> None:
    """Remove records as retention does."""
    async with administration(str(settings.kafka_bootstrap_servers)) as client:
        await client.delete_records(
            {
                TopicPartition(settings.kafka.topic, partition): RecordsToDelete(before_offset=before)
                for partition, before in befores.items()
            }
        )


def gaps(admin: psycopg.Connection) -> list[tuple[int, int, int]]:
    return admin.execute(
        "select partition, first_offset, next_offset from control.stream_gaps order by 1, 2"
    ).fetchall()


def sum_of(admin: psycopg.Connection, settings: Settings) -> int:
    """How many records have landed."""
    return sum(offset for (topic, _), offset in offsets(admin).items() if topic == settings.kafka.topic)
