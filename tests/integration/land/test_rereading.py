"""Landing records again that have landed: nothing changes, except that what was lost is there again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import StreamError
from pipeline.core.settings import IngestLimits
from pipeline.land.landing import StreamLander
from pipeline.land.replaying import LetterReplayer, Selection
from pipeline.stream.delivery import Settled
from tests.conftest import NewTenant
from tests.factories import MOMENT, event
from tests.integration.land.deliveries import (
    TOPIC,
    Junk,
    Record,
    assert_balanced,
    deliver,
    everything,
    ledger,
    letters,
    record_of,
    sent,
)


@pytest.fixture
def lander(database: Database) -> Iterator[StreamLander]:
    lander = StreamLander(lambda: database.connect(ServiceRole.LANDER))
    lander.find_offsets(TOPIC, {0: 0, 1: 0})
    yield lander
    lander.close()


def mixture() -> list[tuple[int, Record]]:
    """Some of everything, in two partitions."""
    first, other = event(), event(received_at=MOMENT + timedelta(hours=1))
    return [
        (0, first),
        (1, other),
        (0, first),
        (1, event(event_id=first.event_id, user_id="other")),
        (0, event(user_id="poison\0")),
        (1, event(tenant_id="nobody")),
        (0, event(tenant_id="Nobody\0")),
        (0, Junk()),
        (1, Junk(b"", key="No Tenant")),
        (1, event(event_id=other.event_id, received_at=MOMENT + timedelta(hours=3))),
    ]


def test_what_has_landed_stays_byte_for_byte(
    lander: StreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    new_tenant("acme")
    delivery = deliver(*mixture())
    lander.land(delivery)
    before = everything(admin)
    for _ in range(2):
        settled = lander.land_again(delivery)
        assert (settled.stored, settled.dead_lettered) == (0, 0)
        assert everything(admin) == before


def test_any_history_read_again_in_other_pieces_stays_byte_for_byte(
    lander: StreamLander, admin: psycopg.Connection
) -> None:
    records = st.tuples(
        st.integers(0, 1), st.sampled_from(["first", "unknown"]), st.integers(0, 4), st.sampled_from([0, 0, 1, 2, 3])
    )
    numbers = iter(range(10_000))

    @settings(max_examples=40, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(records, min_size=1, max_size=25), st.lists(st.integers(1, 6), min_size=25, max_size=25), st.data())
    def stays(drawn: list[tuple[int, str, int, int]], sizes: list[int], data: st.DataObject) -> None:
        number = next(numbers)
        topic = f"t{number}"
        admin.execute(
            "insert into control.tenants (tenant_id, display_name) values (%s, 'a tenant')", (f"first-{number}",)
        )
        made = [(p, record_of(f"{tenant}-{number}", key, content)) for p, tenant, key, content in drawn]
        lander.find_offsets(topic, {0: 0, 1: 0})
        lander.land(deliver(*made, topic=topic))
        before = everything(admin)
        at = {0: 0, 1: 0}
        # Also from somewhere in the middle.
        left = made[data.draw(st.integers(0, len(made) - 1)) :]
        for partition, _ in made[: len(made) - len(left)]:
            at[partition] += 1
        for size in sizes:
            piece, left = left[:size], left[size:]
            delivery = deliver(*piece, at=at, topic=topic)
            at |= {partition: move.next for partition, move in delivery.moves.items()}
            lander.land_again(delivery)
        assert everything(admin) == before

    stays()
    assert_balanced(admin)


def test_rows_that_were_lost_are_there_again_and_no_others(
    lander: StreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    new_tenant("acme")
    delivery = deliver(*mixture())
    lander.land(delivery)
    content = "select tenant_id, event_id, event_type, received_at, properties, payload_hash from raw.usage_events"
    rows = admin.execute(content + " order by 1, 2").fetchall()
    before = everything(admin)
    admin.execute("delete from raw.usage_events where event_id = %s", (delivery.events[0].event_id,))
    assert lander.land_again(delivery).stored == 1
    assert admin.execute(content + " order by 1, 2").fetchall() == rows
    assert everything(admin)["letters"] == before["letters"]
    assert (
        admin.execute(
            "select from control.ingest_ledger where accepted <> stored + duplicate + dead_lettered"
        ).fetchall()
        == []
    )


def test_a_row_that_was_lost_and_is_back_is_counted_as_the_one_row_that_it_is(
    lander: StreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    """The event arrived once."""
    new_tenant("acme")
    delivery = deliver((0, event()), (0, event()))
    lander.land(delivery)
    admin.execute("delete from raw.usage_events")
    lander.land_again(delivery)
    assert ledger(admin) == {"acme": (2, 2, 0, 0)}
    assert_balanced(admin)


def test_a_letter_whose_tenant_exists_now_is_stored_and_resolved(
    lander: StreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    twice, once = event(), event(received_at=MOMENT + timedelta(hours=1))
    delivery = deliver((0, twice), (0, once), (1, twice), (1, Junk()))
    lander.land(delivery)
    assert ledger(admin) == {"acme": (4, 0, 0, 4)}
    new_tenant("acme")
    assert lander.land_again(delivery) == Settled(stored=2, duplicate=1, dead_lettered=0)
    assert [letter[1:3] + letter[6:] for letter in letters(admin)] == [
        (0, 0, "stored"),
        (0, 1, "stored"),
        (1, 0, "duplicate"),
        (1, 1, None),
    ]
    assert ledger(admin) == {"acme": (4, 2, 1, 1)}
    assert_balanced(admin)
    after = everything(admin)
    lander.land_again(delivery)
    assert everything(admin) == after


def test_letters_that_a_replay_has_resolved_stay_resolved(
    lander: StreamLander, database: Database, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    delivery = deliver((0, sent()))
    lander.land(delivery)
    new_tenant("acme")
    replayer = LetterReplayer(lambda: database.connect(ServiceRole.LANDER), limits=IngestLimits())
    assert replayer.replay(Selection(), actor="somebody").stored == 1
    replayer.close()
    before = everything(admin)
    lander.land_again(delivery)
    after = everything(admin)
    assert (after["rows"], after["ledger"]) == (before["rows"], before["ledger"])
    assert_balanced(admin)


def test_offsets_do_not_move_whatever_the_delivery_says(
    lander: StreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    new_tenant("acme")
    lander.land(deliver((0, event())))
    lander.land_again(deliver((0, event())))
    assert everything(admin)["offsets"] == [
        row for row in everything(admin)["offsets"] if row.startswith((f"({TOPIC},0,1,", f"({TOPIC},1,0,"))
    ]


def test_records_that_have_not_landed_are_refused_and_land_as_if_nobody_had_tried(
    lander: StreamLander, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    new_tenant("acme")
    delivery = deliver((0, event()), (0, event(user_id="\0")), (0, Junk()), (0, event(event_id=uuid4())))
    with pytest.raises(StreamError, match="have not landed"):
        lander.land_again(delivery)
    lander.land(delivery)
    assert_balanced(admin)
