"""Publishing to a broker that comes and goes: nothing is lost, and order is kept.

The broker here is a list that answers when told to; the spool is a real one. What a real broker does
is in `tests/integration/stream`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import SettingsError, StreamError, StreamUnavailable, WorkbenchError
from pipeline.core.events import Event, Fate, Landed
from pipeline.core.settings import IngestLimits, KafkaSettings, Settings
from pipeline.stream import kafka
from pipeline.stream.kafka import KafkaPublisher
from pipeline.stream.port import Group, Overloaded
from pipeline.stream.record import decode_event
from pipeline.stream.spool import SMALLEST_BYTES, Spool
from tests.factories import event
from tests.unit.stream.cluster import BATCH_RECORDS, Batch, Cluster, Connection, until

pytestmark = pytest.mark.anyio

SETTINGS = Settings(kafka_bootstrap_servers="kafka-1:9092", kafka=KafkaSettings(publish_seconds=1))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(kafka, "LONGEST_PAUSE_SECONDS", 0.002)


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path, cluster: Cluster) -> AsyncIterator[Start]:
    """Starts a publisher on the test's spool, and waits until it is where it can be."""
    started: list[KafkaPublisher] = []

    async def start(most_bytes: int = 1 << 24, **options: Any) -> KafkaPublisher:
        spool = Spool(tmp_path, most_bytes=most_bytes)
        publisher = KafkaPublisher(SETTINGS, spool=spool, connect=cluster.connect, **options)
        started.append(publisher)
        await publisher.open()
        before = cluster.connections
        if cluster.up:
            await until(lambda: not publisher.away)
        else:
            await until(lambda: cluster.connections > before)
        return publisher

    yield start
    cluster.release()
    for publisher in started:
        if not publisher._closed:
            await publisher.close()


Publishing = asyncio.Task[list[Landed]]


async def publish(publisher: KafkaPublisher, *events: Event) -> Publishing:
    """A publish that has been queued."""
    publishing = asyncio.create_task(publisher.publish(events))
    await asyncio.sleep(0)
    return publishing


def events(number: int, tenant_id: str = "acme", **overrides: Any) -> list[Event]:
    return [event(tenant_id=tenant_id, **overrides) for _ in range(number)]


def fates(landed: list[Landed]) -> set[Fate]:
    return {each.fate for each in landed}


async def test_what_is_published_while_a_batch_is_on_its_way_goes_together_next(cluster: Cluster, start: Start) -> None:
    seen: list[Group] = []
    publisher = await start(observe=seen.append)
    cluster.hold()
    publishes = [events(size) for size in (1, 1, 2, 1)]
    publishings = [await publish(publisher, *each) for each in publishes]
    await until(lambda: cluster.asked)
    assert publisher.queued == 5
    cluster.release()
    landed = await asyncio.gather(*publishings)
    assert cluster.events == [each for batch in publishes for each in batch]
    assert [len(each) for each in landed] == [1, 1, 2, 1]
    assert {fate for each in landed for fate in fates(each)} == {Fate.PUBLISHED}
    assert len(cluster.log) == 1 + (len(seen) - 1)
    assert sum(group.events for group in seen) == 5
    assert sum(group.publishes for group in seen) == 4
    assert publisher.queued == 0


async def test_a_large_publish_is_answered_once_all_of_its_batches_are_acknowledged(
    cluster: Cluster, start: Start
) -> None:
    publisher = await start()
    large = events(2 * BATCH_RECORDS + 1) + events(3, "globex")
    assert len(await publisher.publish(large)) == len(large)
    assert sorted(cluster.asked) == [1, 3, 5, 5]
    assert {each.event_id for each in cluster.events} == {each.event_id for each in large}
    assert [each for each in cluster.events if each.tenant_id == "acme"] == large[:-3]


async def test_without_a_broker_events_are_spooled_and_moved_in_order_once_it_answers(
    cluster: Cluster, start: Start
) -> None:
    cluster.up = False
    publisher = await start()
    spooled = events(7)
    for each in spooled:
        assert fates(await publisher.publish([each])) == {Fate.SPOOLED}
    assert publisher.away
    assert (publisher.spooled_events, publisher.queued) == (7, 0)
    cluster.recover()
    await until(lambda: not publisher.away)
    assert fates(await publisher.publish(direct := events(1))) == {Fate.PUBLISHED}
    assert cluster.events == spooled + direct
    assert publisher.spooled_events == 0


async def test_what_is_not_acknowledged_is_spooled_before_anything_newer(cluster: Cluster, start: Start) -> None:
    publisher = await start()
    cluster.hold()
    older = events(3 * BATCH_RECORDS)
    publishings = [await publish(publisher, each) for each in older]
    await until(lambda: cluster.asked)
    cluster.fail()
    await until(lambda: publisher.away)
    newer = events(2)
    publishings += [await publish(publisher, each) for each in newer]
    assert {fate for each in await asyncio.gather(*publishings) for fate in fates(each)} == {Fate.SPOOLED}
    cluster.recover()
    await until(lambda: not publisher.away)
    assert cluster.events == older + newer


async def test_a_broker_too_slow_for_much_at_once_gets_less_until_it_has_it_all(cluster: Cluster, start: Start) -> None:
    cluster.up = False
    publisher = await start()
    spooled = events(40, original=b" " * 5000)
    await publisher.publish(spooled)
    cluster.most_records = 1
    cluster.recover()
    await until(lambda: not publisher.away)
    assert cluster.firsts == spooled


async def test_a_batch_that_was_taken_although_it_failed_is_published_twice_and_keeps_the_order(
    cluster: Cluster, start: Start
) -> None:
    publisher = await start()
    cluster.hold()
    older = events(BATCH_RECORDS + 2)
    publishing = await publish(publisher, *older)
    await until(lambda: cluster.asked)
    cluster.fail_late()
    assert fates(await publishing) == {Fate.SPOOLED}
    cluster.recover()
    await until(lambda: not publisher.away)
    assert len(cluster.events) > len(older)
    assert cluster.firsts == older


async def test_while_the_last_of_the_spool_is_moved_new_events_wait_behind_it(cluster: Cluster, start: Start) -> None:
    cluster.up = False
    publisher = await start()
    spooled = events(2)
    await publisher.publish(spooled)
    cluster.hold()
    cluster.recover()
    await until(lambda: publisher._lanes is not None)
    newer = events(1)
    publishing = await publish(publisher, *newer)
    await until(lambda: cluster.asked)
    for _ in range(10):
        await asyncio.sleep(0)
    assert cluster.asked == [2]
    assert cluster.events == []
    cluster.release()
    assert fates(await publishing) == {Fate.PUBLISHED}
    assert cluster.events == spooled + newer


async def test_a_failure_while_the_spool_is_moved_loses_neither_that_nor_what_waits_behind_it(
    cluster: Cluster, start: Start
) -> None:
    cluster.up = False
    publisher = await start()
    spooled, newer = events(4), events(3)
    await publisher.publish(spooled)
    cluster.hold()
    cluster.recover()
    await until(lambda: publisher._lanes is not None and cluster.asked)
    publishing = await publish(publisher, *newer)
    cluster.fail()
    assert fates(await publishing) == {Fate.SPOOLED}
    cluster.recover()
    await until(lambda: not publisher.away and publisher.spooled_events == 0)
    assert cluster.events == spooled + newer


async def test_beyond_the_bytes_in_flight_nothing_is_taken(cluster: Cluster, start: Start) -> None:
    publisher = await start(in_flight_bytes=2_000)
    cluster.hold()
    large = await publish(publisher, *events(20))
    with pytest.raises(Overloaded, match="20 events wait"):
        await publisher.publish(events(1))
    cluster.release()
    assert len(await large) == 20
    assert len(await publisher.publish(events(1))) == 1


async def test_a_full_spool_refuses_until_there_is_room_and_readiness_says_so(cluster: Cluster, start: Start) -> None:
    cluster.up = False
    publisher = await start(most_bytes=SMALLEST_BYTES)
    kept: list[Event] = []

    async def fill() -> None:
        while True:
            batch = events(5, original=b" " * 10_000)
            await publisher.publish(batch)
            kept.extend(batch)

    with pytest.raises(Overloaded, match="no room for these events; none of them was taken"):
        await fill()
    with pytest.raises(StreamUnavailable, match=r"The broker at kafka-1:9092 has not answered since .* full"):
        await publisher.check()
    cluster.recover()
    await until(lambda: not publisher.away and publisher.spooled_events == 0)
    assert cluster.events == kept
    assert (await publisher.check()).durable_by == "broker"


async def test_what_was_sent_and_fits_nowhere_is_in_doubt(cluster: Cluster, start: Start) -> None:
    publisher = await start(most_bytes=SMALLEST_BYTES)
    cluster.hold()
    sent = await publish(publisher, *events(2, original=b" " * SMALLEST_BYTES))
    await until(lambda: cluster.asked)
    cluster.fail()
    with pytest.raises(StreamUnavailable, match="did not acknowledge these events in time"):
        await sent


async def test_readiness_tells_where_events_go_and_why(cluster: Cluster, start: Start) -> None:
    publisher = await start()
    assert (await publisher.check()).warning is None
    cluster.failure = StreamError("The topic is wrong.", remedy="Alter it.")
    cluster.fail()
    assert fates(await publisher.publish(events(3))) == {Fate.SPOOLED}
    readiness = await publisher.check()
    assert readiness.durable_by == "spool"
    assert readiness.warning is not None
    assert "The topic is wrong. Alter it." in readiness.warning
    assert "3 events" in readiness.warning
    await publisher.close()
    with pytest.raises(WorkbenchError, match="shutting down"):
        await publisher.check()
    with pytest.raises(Overloaded, match="shutting down"):
        await publisher.publish(events(1))


async def test_closing_waits_for_acknowledgements_and_spools_what_gets_none(
    cluster: Cluster, start: Start, tmp_path: Path
) -> None:
    publisher = await start()
    cluster.hold()
    late = events(BATCH_RECORDS + 1)
    publishings = [await publish(publisher, each) for each in late]
    closing = asyncio.create_task(publisher.close())
    landed = await asyncio.gather(*publishings)
    await closing
    assert {fate for each in landed for fate in fates(each)} == {Fate.SPOOLED}
    again = Spool(tmp_path, most_bytes=1 << 24)
    assert [decode_event(each.value) for each in again.peek(100, 1 << 20)] == late
    again.close()


async def test_a_waiter_that_leaves_harms_none_and_its_events_go_on(cluster: Cluster, start: Start) -> None:
    publisher = await start()
    cluster.hold()
    first, gone, kept = events(3)
    publishings = [await publish(publisher, each) for each in (first, gone, kept)]
    publishings[1].cancel()
    cluster.release()
    await asyncio.gather(publishings[0], publishings[2])
    assert cluster.events == [first, gone, kept]
    assert publisher.queued == 0


async def test_a_defect_in_publishing_spools_and_is_tried_again(
    cluster: Cluster, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = await start()
    defects = iter([RuntimeError("defect")])
    sending = Connection.send

    async def send(self: Connection, batch: Batch, partition: int) -> None:
        for defect in defects:
            raise defect
        await sending(self, batch, partition)

    monkeypatch.setattr(Connection, "send", send)
    some = events(2)
    assert fates(await publisher.publish(some)) == {Fate.SPOOLED}
    await until(lambda: not publisher.away)
    assert cluster.events == some


async def test_what_another_process_left_is_moved_too(cluster: Cluster, start: Start) -> None:
    cluster.up = False
    left = await start()
    beside = await start()
    theirs, own = events(3, "globex"), events(2)
    await left.publish(theirs)
    await beside.publish(own)
    await left.close()
    cluster.recover()
    await until(lambda: len(cluster.events) == 5)
    assert cluster.events == own + theirs
    await beside.close()


async def test_a_damaged_spool_of_another_process_is_told_while_events_go_on(start: Start, tmp_path: Path) -> None:
    (tmp_path / "spool-1.sqlite").write_bytes(b"no database, surely" * 100)
    publisher = await start()
    await until(lambda: publisher._orphan_trouble)
    readiness = await publisher.check()
    assert readiness.durable_by == "broker"
    assert "spool-1.sqlite cannot be used" in (readiness.warning or "")
    assert fates(await publisher.publish(events(1))) == {Fate.PUBLISHED}


async def test_a_grown_topic_is_used_as_a_whole(cluster: Cluster, start: Start) -> None:
    publisher = await start()
    many = [event(tenant_id=f"tenant-{number}") for number in range(60)]
    await publisher.publish(many)
    assert {partition for partition, _ in cluster.log} == {0, 1, 2}
    cluster.partitions = 6
    await publisher.publish(many)
    assert {partition for partition, _ in cluster.log} == set(range(6))


async def test_shards_spread_a_tenant(cluster: Cluster, start: Start) -> None:
    publisher = await start()
    await publisher.publish(events(50), shards=3)
    assert {partition for partition, _ in cluster.log} == {0, 1, 2}


async def test_nothing_is_answered_at_once_and_settings_that_cannot_work_are_told(start: Start, tmp_path: Path) -> None:
    publisher = await start()
    assert await publisher.publish([]) == []
    spool = Spool(tmp_path, most_bytes=1 << 20)
    with pytest.raises(SettingsError):
        KafkaPublisher(Settings(limits=IngestLimits()), spool=spool)
    spool.close()


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 2 * BATCH_RECORDS)),
    st.tuples(st.sampled_from(["fail", "fail_late", "recover", "hold", "release", "look", "restart"]), st.just(0)),
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, max_size=25), seed=st.randoms(use_true_random=False))
def test_whatever_happens_what_was_acknowledged_arrives_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], seed: Any
) -> None:
    folder = tmp_path_factory.mktemp("spool")

    async def run() -> None:
        cluster = Cluster()

        async def begin() -> KafkaPublisher:
            spool = Spool(folder, most_bytes=1 << 24)
            publisher = KafkaPublisher(SETTINGS, spool=spool, connect=cluster.connect)
            await publisher.open()
            return publisher

        publisher = await begin()
        published: list[tuple[list[Event], Publishing]] = []
        for step, number in steps:
            if step == "publish":
                batch = [event(tenant_id=seed.choice("abcd")) for _ in range(number)]
                published.append((batch, await publish(publisher, *batch)))
            elif step == "restart":
                cluster.release()
                await publisher.close()
                publisher = await begin()
            elif step == "look":
                await asyncio.sleep(seed.choice([0, 0.003]))
            else:
                getattr(cluster, step)()
        cluster.release()
        cluster.recover()
        landed = await asyncio.gather(*(publishing for _, publishing in published))
        await until(lambda: not publisher.away and publisher.spooled_events == 0)
        await publisher.close()
        assert all(each.fate in (Fate.PUBLISHED, Fate.SPOOLED) for fates in landed for each in fates)
        expected = [each for batch, _ in published for each in batch]
        for tenant in "abcd":
            firsts = [each for each in cluster.firsts if each.tenant_id == tenant]
            assert firsts == [each for each in expected if each.tenant_id == tenant]

    asyncio.run(run())
