"""Each fate of an event, what is kept of it, and how it is counted."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from pipeline.core import tenants
from pipeline.core.database import Database, ServiceRole
from pipeline.core.events import Event, Fate
from pipeline.land.dead_letters import NO_TENANT
from pipeline.land.landing import Lander
from tests.conftest import NewTenant
from tests.factories import MOMENT, event
from tests.integration.land.state import as_row, fates_of, read_state
from tests.integration.land.waiting import wait_until

TOO_DEEP = b'{"a":' * 20_000 + b"1" + b"}" * 20_000
POISON = {
    "NUL in a text": event(user_id="a\0b", original=b"nul"),
    "NUL in the properties": event(properties=b'{"a":"\\u0000"}', original=b"escaped nul"),
    "half a surrogate pair": event(session_id="\ud800", original=b"surrogate"),
    "properties that are not UTF-8": event(properties=b'{"a":"\xff"}', original=b"not utf-8"),
    "properties that are not JSON": event(properties=b'{"a":}', original=b"not json"),
    "properties nested beyond the server's stack": event(properties=TOO_DEEP, original=b"too deep"),
}


@pytest.fixture(autouse=True)
def _acme(new_tenant: NewTenant) -> None:
    new_tenant("acme")


def test_an_event_is_stored_as_it_came(lander: Lander, steward: psycopg.Connection) -> None:
    late = event(occurred_at=MOMENT - timedelta(days=400, microseconds=1), properties='{"plan":"größer"}'.encode())
    anonymous = event(user_id=None, session_id=None)
    assert fates_of(lander.land([late, anonymous])) == [Fate.STORED, Fate.STORED]
    state = read_state(steward, ["acme"])
    assert state.rows == {(e.tenant_id, e.event_id): as_row(e) for e in (late, anonymous)}
    assert state.ledger == {"acme": (2, 2, 0, 0)}
    assert not state.letters


def test_the_first_of_a_key_is_stored_an_equal_one_is_a_duplicate_another_a_conflict(
    lander: Lander, steward: psycopg.Connection
) -> None:
    first = event(original=b"first")
    again = event(event_id=first.event_id, received_at=MOMENT + timedelta(hours=1))
    other = event(event_id=first.event_id, event_type="click", original=b"other")
    assert fates_of(lander.land([first, again, other, first])) == [
        Fate.STORED,
        Fate.DUPLICATE,
        Fate.CONFLICT,
        Fate.DUPLICATE,
    ]
    _, _, conflict = told = lander.land([event(), again, other])
    assert fates_of(told) == [Fate.STORED, Fate.DUPLICATE, Fate.CONFLICT]
    assert conflict.detail is not None
    assert first.payload_hash.hex() in conflict.detail
    state = read_state(steward, ["acme"])
    assert state.rows["acme", first.event_id] == as_row(first)
    assert state.letters == {("acme", first.event_id, "conflict", b"other"): 2}
    assert state.ledger == {"acme": (7, 2, 3, 2)}


def test_tenants_do_not_share_event_ids(lander: Lander, steward: psycopg.Connection, new_tenant: NewTenant) -> None:
    new_tenant("globex")
    ours = event()
    theirs = event(tenant_id="globex", event_id=ours.event_id, user_id="somebody else")
    assert fates_of(lander.land([ours, theirs])) == [Fate.STORED, Fate.STORED]
    assert read_state(steward, ["acme", "globex"]).ledger == {"acme": (1, 1, 0, 0), "globex": (1, 1, 0, 0)}


def test_poison_is_kept_as_sent_and_its_neighbours_land(lander: Lander, steward: psycopg.Connection) -> None:
    neighbours = [event() for _ in range(40)]
    batch = [*neighbours[:20], *POISON.values(), *neighbours[20:]]
    told = lander.land(batch)
    assert fates_of(told) == [Fate.STORED] * 20 + [Fate.DEAD_LETTERED] * len(POISON) + [Fate.STORED] * 20
    state = read_state(steward, ["acme"])
    assert state.rows == {(e.tenant_id, e.event_id): as_row(e) for e in neighbours}
    assert state.letters == {(e.tenant_id, e.event_id, "refused_by_database", e.original): 1 for e in POISON.values()}
    assert state.ledger == {"acme": (40 + len(POISON), 40, 0, len(POISON))}


def test_a_good_event_takes_the_key_that_poison_before_it_did_not_get(lander: Lander) -> None:
    poison = POISON["NUL in a text"]
    good = event(event_id=poison.event_id)
    assert fates_of(lander.land([poison, good, poison])) == [Fate.DEAD_LETTERED, Fate.STORED, Fate.DEAD_LETTERED]


def test_events_of_an_unknown_tenant_are_kept_as_dead_letters(lander: Lander, steward: psycopg.Connection) -> None:
    names = ["nobody", "\0", "\ud800", "x" * 10_000]
    strangers = [event(tenant_id=name, original=str(n).encode()) for n, name in enumerate(names)]
    told = lander.land([*strangers, event()])
    assert fates_of(told) == [Fate.DEAD_LETTERED] * 4 + [Fate.STORED]
    state = read_state(steward, ["acme", "nobody", NO_TENANT])
    assert {(tenant, reason, original) for tenant, _, reason, original in state.letters} == {
        ("nobody", "unknown_tenant", b"0"),
        (NO_TENANT, "unknown_tenant", b"1"),
        (NO_TENANT, "unknown_tenant", b"2"),
        (NO_TENANT, "unknown_tenant", b"3"),
    }
    assert state.ledger == {"acme": (1, 1, 0, 0), "nobody": (1, 0, 0, 1), NO_TENANT: (3, 0, 0, 3)}


def test_what_was_accepted_before_a_suspension_still_lands(lander: Lander, database: Database) -> None:
    tenants.suspend_tenant(database, "acme")
    assert fates_of(lander.land([event()])) == [Fate.STORED]


def test_a_landing_that_loses_count_cannot_commit(
    lander: Lander, admin: psycopg.Connection, steward: psycopg.Connection
) -> None:
    lost: Event = event(event_type="lost")
    admin.execute("""
        create function public.lose() returns trigger language plpgsql as 'begin return null; end';
        create trigger loses before insert on raw.usage_events
            for each row when (new.event_type = 'lost') execute function public.lose()
    """)
    with pytest.raises(psycopg.errors.CheckViolation, match="every_event_is_accounted_for"):
        lander.land([event(), lost])
    state = read_state(steward, ["acme"])
    assert not state.rows
    assert not state.ledger


def test_progress_names_the_landing_that_stored_rows_and_no_later_one(
    lander: Lander, steward: psycopg.Connection, database: Database
) -> None:
    first = event()
    lander.land([first])
    lander.land([first, event(tenant_id="nobody", event_id=uuid4())])
    with database.connect(ServiceRole.PUBLISHER) as publisher:
        progress = publisher.execute("select tenant_id, landed_xid::text from control.landing_progress").fetchall()
    rows = steward.execute("select tenant_id, landed_xid::text from raw.usage_events").fetchall()
    assert progress == rows


def test_known_keys_are_probed_and_the_raw_table_is_never_read_through(
    lander: Lander, admin: psycopg.Connection
) -> None:
    resent = [event() for _ in range(500)]
    # Prepared while the table is tiny, when reading it through would look cheap.
    for batch in [resent[:1]] * 8:
        lander.land(batch)
    lander.land(resent)
    assert fates_of(lander.land(resent)) == [Fate.DUPLICATE] * 500
    lander.close()
    wait_until(lambda: scans(admin)[1] >= 500, what="the lander's statistics")
    assert scans(admin)[0] == 0


def scans(admin: psycopg.Connection) -> tuple[int, int]:
    """How often the raw table was read through, and how often by key."""
    row = admin.execute(
        "select seq_scan, idx_scan from pg_stat_user_tables where relid = 'raw.usage_events'::regclass"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
