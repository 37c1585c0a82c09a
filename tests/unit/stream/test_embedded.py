"""Group commit: concurrent publishes land together, and none depends on the fortune of another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pytest

from pipeline.core import logs
from pipeline.core.errors import DatabaseUnavailable, WorkbenchError
from pipeline.core.events import Event, Fate, Landed
from pipeline.stream.embedded import EmbeddedPublisher
from pipeline.stream.port import Group, Overloaded
from tests.factories import event

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Lander:
    """Lands one group at each `release`; a fate's detail is the id of its event."""

    def __init__(self) -> None:
        self.groups: list[list[Event]] = []
        self.started = threading.Semaphore(0)
        self.permits = threading.Semaphore(0)
        self.error_for: Callable[[Sequence[Event]], Exception | None] | None = None

    def land(self, events: Sequence[Event]) -> list[Landed]:
        self.groups.append(list(events))
        self.started.release()
        assert self.permits.acquire(timeout=10)
        if self.error_for and (error := self.error_for(events)):
            raise error
        return [Landed(fate=Fate.STORED, detail=str(each.event_id)) for each in events]

    def release(self, groups: int = 1) -> None:
        self.permits.release(groups)

    async def until_landing(self) -> None:
        assert await asyncio.to_thread(self.started.acquire, timeout=10)

    def publisher(self, queued_events: int = 1_000, group_events: int = 1_000) -> EmbeddedPublisher:
        return EmbeddedPublisher(self.land, probe=lambda: None, queued_events=queued_events, group_events=group_events)


Publishing = asyncio.Task[list[Landed]]


async def publish(publisher: EmbeddedPublisher, *events: Event) -> Publishing:
    """A publish that has been queued."""
    publishing = asyncio.create_task(publisher.publish(events))
    await asyncio.sleep(0)
    return publishing


def ids(landed: list[Landed]) -> list[str | None]:
    return [each.detail for each in landed]


async def test_what_is_published_during_a_landing_is_landed_together_next() -> None:
    lander = Lander()
    publisher = lander.publisher()
    batches = [[event() for _ in range(size)] for size in (1, 2, 3, 1)]
    publishings = [await publish(publisher, *batches[0])]
    await lander.until_landing()
    publishings += [await publish(publisher, *batch) for batch in batches[1:]]
    lander.release(2)
    landed = await asyncio.gather(*publishings)
    assert lander.groups == [batches[0], batches[1] + batches[2] + batches[3]]
    assert [ids(each) for each in landed] == [[str(e.event_id) for e in batch] for batch in batches]
    await publisher.close()


async def test_a_group_is_bounded_but_no_publish_is_split() -> None:
    lander = Lander()
    publisher = lander.publisher(group_events=4)
    publishings = [await publish(publisher, event())]
    await lander.until_landing()
    publishings += [await publish(publisher, *(event() for _ in range(size))) for size in (2, 2, 3, 6, 1)]
    lander.release(5)
    await asyncio.gather(*publishings)
    assert [len(group) for group in lander.groups] == [1, 4, 3, 6, 1]
    await publisher.close()


async def test_beyond_the_backlog_nothing_is_taken_until_it_is_landed() -> None:
    lander = Lander()
    publisher = lander.publisher(queued_events=3)
    large = await publish(publisher, *(event() for _ in range(5)))
    with pytest.raises(Overloaded):
        await publisher.publish([event()])
    assert publisher.queued == 5
    lander.release(2)
    assert len(await large) == 5
    assert len(await publisher.publish([event()])) == 1
    assert publisher.queued == 0
    await publisher.close()


async def test_a_cancelled_publish_harms_none_of_its_group() -> None:
    lander = Lander()
    publisher = lander.publisher()
    first = await publish(publisher, event())
    await lander.until_landing()
    gone, kept = event(), event()
    leaving, staying = await publish(publisher, gone), await publish(publisher, kept)
    leaving.cancel()
    lander.release(2)
    assert ids(await staying) == [str(kept.event_id)]
    assert len(await first) == 1
    assert leaving.cancelled()
    await publisher.close()


async def test_an_unavailable_database_is_told_to_the_whole_group_and_the_next_one_lands() -> None:
    lander = Lander()
    publisher = lander.publisher(group_events=3)
    failing = [event(), event(), event()]
    lander.error_for = lambda events: DatabaseUnavailable() if events[0] in failing else None
    before = await publish(publisher, event())
    await lander.until_landing()
    group = [await publish(publisher, each) for each in failing]
    after = await publish(publisher, event())
    lander.release(3)
    outcomes = await asyncio.gather(before, *group, after, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, *[DatabaseUnavailable] * 3, list]
    assert [len(events) for events in lander.groups] == [1, 3, 1]
    await publisher.close()


async def test_a_defect_fails_the_publish_that_brings_it_to_light_alone() -> None:
    lander = Lander()
    publisher = lander.publisher()
    bad = event()
    lander.error_for = lambda events: ValueError("defect") if bad in events else None
    first = await publish(publisher, event())
    await lander.until_landing()
    group = [await publish(publisher, each) for each in (event(), bad, event())]
    lander.release(5)
    outcomes = await asyncio.gather(first, *group, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, list, ValueError, list]
    await publisher.close()


async def test_landing_that_tells_too_few_fates_acknowledges_nothing() -> None:
    def land_nothing(events: Sequence[Event]) -> list[Landed]:  # noqa: ARG001
        return []

    publisher = EmbeddedPublisher(land_nothing, probe=lambda: None)
    with pytest.raises(RuntimeError, match="0 fates of 1"):
        await publisher.publish([event()])
    await publisher.close()


async def test_closing_finishes_what_was_taken_and_takes_no_more() -> None:
    lander = Lander()
    publisher = lander.publisher()
    taken = [await publish(publisher, event()) for _ in range(2)]
    closing = asyncio.create_task(publisher.close())
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="shutting down"):
        await publisher.publish([event()])
    lander.release(2)
    await closing
    assert all(publishing.done() for publishing in taken)
    with pytest.raises(WorkbenchError, match="shutting down"):
        await publisher.check()


async def test_readiness_is_the_probes_and_an_observer_is_told_of_every_group() -> None:
    def probe() -> None:
        raise DatabaseUnavailable("The database does not answer.")

    seen: list[Group] = []
    land = Lander()
    land.release(1)
    publisher = EmbeddedPublisher(land.land, probe=probe, observe=seen.append)
    with pytest.raises(DatabaseUnavailable):
        await publisher.check()
    await publisher.publish([event(), event()])
    assert [(group.events, group.publishes) for group in seen] == [(2, 1)]
    assert seen[0].seconds > 0
    assert await publisher.publish([]) == []
    await publisher.close()


async def test_what_is_logged_while_landing_is_about_no_tenant_of_a_request_that_came_first() -> None:
    about: list[dict[str, object]] = []

    def land(events: Sequence[Event]) -> list[Landed]:
        try:
            with logs.bound():
                raise WorkbenchError
        except WorkbenchError as error:
            about.append(dict(error.about))
        return [Landed(fate=Fate.STORED) for _ in events]

    publisher = EmbeddedPublisher(land, probe=lambda: None)
    logs.bind(tenant_id="acme")
    await publisher.publish([event()])
    assert about == [{}]
