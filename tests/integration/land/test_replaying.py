"""Replaying dead letters: what was mended lands once, what was not stays, and the ledger and the audit log know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.events import decode_event
from pipeline.core.settings import IngestLimits
from pipeline.land import replaying
from pipeline.land.dead_letters import Reason
from pipeline.land.landing import Lander, StreamLander
from pipeline.land.replaying import LetterReplayer, Replayed, Selection
from pipeline.stream.record import encode_event
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
    sent,
)
from tests.integration.land.state import as_row, read_state
from tests.integration.land.waiting import wait_until

ALL = Selection()
WHO = "somebody"

NewReplayer = Callable[[], LetterReplayer]


@pytest.fixture
def new_replayer(database: Database) -> Iterator[NewReplayer]:
    opened: list[LetterReplayer] = []

    def open_replayer() -> LetterReplayer:
        opened.append(LetterReplayer(lambda: database.connect(ServiceRole.LANDER), limits=IngestLimits()))
        return opened[-1]

    yield open_replayer
    for replayer in opened:
        replayer.close()


@pytest.fixture
def replayer(new_replayer: NewReplayer) -> LetterReplayer:
    return new_replayer()


@pytest.fixture
def stream(database: Database) -> Iterator[StreamLander]:
    lander = StreamLander(lambda: database.connect(ServiceRole.LANDER))
    lander.find_offsets(TOPIC, {0: 0})
    yield lander
    lander.close()


def audit(admin: psycopg.Connection) -> list[tuple[str, str, str | None, dict[str, Any]]]:
    return admin.execute("select actor, action, tenant_id, details from control.audit_log order by audit_id").fetchall()


def test_letters_of_a_tenant_that_was_added_land_once_and_are_accounted_for(
    stream: StreamLander,
    replayer: LetterReplayer,
    new_tenant: NewTenant,
    steward: psycopg.Connection,
    admin: psycopg.Connection,
) -> None:
    new_tenant("globex")
    late = [sent(hours=n) for n in range(3)]
    stream.land(deliver(*((0, each) for each in [*late, sent("globex"), sent("nobody")])))
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=4)
    assert ledger(admin)["acme"] == (3, 0, 0, 3)
    new_tenant("acme")
    replayed = replayer.replay(ALL, actor=WHO)
    assert replayed == Replayed(tried=4, stored=3)
    assert replayed.remaining == 1
    assert read_state(steward, ["acme"]).rows == {("acme", each.event_id): as_row(each) for each in late}
    assert ledger(admin) == {"acme": (3, 3, 0, 0), "globex": (1, 1, 0, 0), "nobody": (1, 0, 0, 1)}
    assert_balanced(admin)
    assert [letter[3:5] + letter[6:] for letter in letters(admin)] == [
        *[("acme", "unknown_tenant", "stored")] * 3,
        ("nobody", "unknown_tenant", None),
    ]
    rows = admin.execute("select tenant_id, replays, resolved_at is not null from raw.dead_letters").fetchall()
    assert sorted(rows) == [*[("acme", 2, True)] * 3, ("nobody", 2, False)]
    resolved = {
        str(row[0]): "stored"
        for row in admin.execute("select dead_letter_id from raw.dead_letters where tenant_id = 'acme'")
    }
    [acme] = [row for row in audit(admin) if row[2] == "acme" and row[3]["resolved"]]
    assert acme[:3] == (WHO, "replay dead letters", "acme")
    assert (acme[3]["tried"], acme[3]["resolved"]) == (3, resolved)


def test_the_promotion_learns_of_rows_that_a_replay_stored(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    stream.land(deliver((0, sent())))
    new_tenant("acme")
    replayer.replay(ALL, actor=WHO)
    progress = admin.execute("select tenant_id, landed_xid::text from control.landing_progress").fetchall()
    assert progress == admin.execute("select tenant_id, landed_xid::text from raw.usage_events").fetchall()


def test_a_second_replay_changes_nothing(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    stream.land(deliver((0, sent()), (0, sent())))
    new_tenant("acme")
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=2, stored=2)
    before = everything(admin)
    assert replayer.replay(ALL, actor=WHO) == Replayed()
    assert everything(admin) == before


def test_letters_with_one_key_are_stored_once_and_the_rest_are_duplicates_and_conflicts(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    key = uuid4()
    same = [sent(event_id=key, hours=n) for n in range(3)]
    stream.land(deliver(*((0, each) for each in [*same, sent(event_id=key, text="other")])))
    new_tenant("acme")
    # Which is first among the letters is anybody's guess.
    replayed = replayer.replay(ALL, actor=WHO)
    assert replayed.tried == 4
    assert replayed in (Replayed(tried=4, stored=1, duplicate=2), Replayed(tried=4, stored=1))
    assert_balanced(admin)
    assert ledger(admin)["acme"] == (4, 1, replayed.duplicate, replayed.remaining)


def test_a_conflict_stays_one(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    new_tenant("acme")
    key = uuid4()
    stream.land(deliver((0, sent(event_id=key)), (0, sent(event_id=key, text="other"))))
    before = everything(admin)
    for _ in range(2):
        assert replayer.replay(ALL, actor=WHO) == Replayed(tried=1)
    after = everything(admin)
    assert (after["rows"], after["ledger"]) == (before["rows"], before["ledger"])
    assert admin.execute("select reason, replays, resolved_at from raw.dead_letters").fetchall() == [
        ("conflict", 2, None)
    ]


def test_a_letter_that_stays_has_the_newest_reason(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    """The tenant was unknown; now its key is taken."""
    key = uuid4()
    stream.land(deliver((0, sent(event_id=key))))
    new_tenant("acme")
    stream.land(deliver((0, sent(event_id=key, text="other")), at={0: 1}))
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=1)
    [(reason, detail)] = admin.execute("select reason, detail from raw.dead_letters").fetchall()
    assert detail.startswith("event_id is taken")
    assert reason == "conflict"


def test_a_letter_whose_event_was_sent_again_meanwhile_is_a_duplicate(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    late = sent()
    stream.land(deliver((0, late)))
    new_tenant("acme")
    stream.land(deliver((0, late), at={0: 1}))
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=1, duplicate=1)
    assert ledger(admin)["acme"] == (2, 1, 1, 0)
    assert_balanced(admin)


def test_what_the_database_refused_lands_when_it_refuses_no_longer(
    database: Database,
    replayer: LetterReplayer,
    new_tenant: NewTenant,
    admin: psycopg.Connection,
    steward: psycopg.Connection,
) -> None:
    new_tenant("acme")
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    good = sent()
    # What arrives is broken, what was sent is not: as after a release that broke it on the way.
    lander.land([msgspec.structs.replace(good, properties=b'{"a":'), sent()])
    lander.close()
    assert replayer.replay(Selection(reason=Reason.REFUSED_BY_DATABASE), actor=WHO) == Replayed(tried=1, stored=1)
    assert read_state(steward, ["acme"]).rows["acme", good.event_id] == as_row(good)
    assert ledger(admin)["acme"] == (2, 2, 0, 0)
    assert_balanced(admin)


def test_a_letter_without_an_id_of_its_senders_gets_the_id_that_it_was_accepted_under(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, steward: psycopg.Connection
) -> None:
    accepted = decode_event(
        b'{"event_type":"page_view"}',
        tenant_id="acme",
        received_at=MOMENT,
        limits=IngestLimits(),
        allowed_types=None,
        new_id=lambda: UUID(int=77),
    )
    stream.land(deliver((0, accepted)))
    new_tenant("acme")
    replayer.replay(ALL, actor=WHO)
    assert read_state(steward, ["acme"]).rows == {("acme", UUID(int=77)): as_row(accepted)}


def test_records_that_can_be_read_now_land_and_the_others_stay(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    """A record of a later layout, after the release that reads it; its key and hour may be others than its event's."""
    new_tenant("acme")
    readable = event(received_at=MOMENT + timedelta(hours=5))
    stream.land(
        deliver(
            (0, Junk(encode_event(readable), key="acme")),
            (0, Junk(encode_event(event()), key="No Tenant")),
            (0, Junk(encode_event(event(tenant_id="nobody")), key="acme")),
            (0, Junk(encode_event(event(tenant_id="bad\0")), key="acme")),
            (0, Junk(b"junk")),
            (0, Junk(b"")),
        )
    )
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=6, stored=2)
    assert_balanced(admin)
    assert ledger(admin) == {"acme": (6, 2, 0, 4), "(malformed)": (0, 0, 0, 0)}
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=4)
    assert_balanced(admin)


def test_letters_are_selected_by_all_that_is_given(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    records: list[Record] = [sent(), sent(), sent("globex"), Junk(key="acme"), Junk(key="globex")]
    stream.land(deliver(*((0, each) for each in records)))
    ids: dict[int, UUID] = dict(admin.execute("select record_offset, dead_letter_id from raw.dead_letters").fetchall())
    new_tenant("acme")
    new_tenant("globex")
    for selection, tried in (
        (Selection(letters=[]), 0),
        (Selection(letters=[uuid4()]), 0),
        (Selection(tenant_id="nobody"), 0),
        (Selection(tenant_id=""), 0),
        (Selection(tenant_id="globex", letters=[ids[0]]), 0),
        (Selection(reason=Reason.CONFLICT), 0),
        (Selection(reason=Reason.UNDECODABLE), 2),
        (Selection(tenant_id="acme", reason=Reason.UNDECODABLE), 1),
        (Selection(letters=[ids[1], ids[4]], reason=Reason.UNKNOWN_TENANT), 1),
        (Selection(tenant_id="globex"), 2),
        (ALL, 3),
    ):
        assert replayer.replay(selection, actor=WHO).tried == tried, selection
    assert ledger(admin) == {"acme": (3, 2, 0, 1), "globex": (2, 1, 0, 1)}


def test_more_letters_than_are_replayed_at_once_are_each_tried_once(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    records: list[Record] = [*(sent() for _ in range(2_300)), *(Junk(b"%d" % n) for n in range(400))]
    stream.land(deliver(*((0, each) for each in records)))
    new_tenant("acme")
    told: list[Replayed] = []
    assert replayer.replay(ALL, actor=WHO, progress=told.append) == Replayed(tried=2_700, stored=2_300)
    assert [each.tried for each in told] == [1_000, 2_000, 2_700]
    assert admin.execute("select distinct replays from raw.dead_letters").fetchall() == [(1,)]
    assert ledger(admin)["acme"] == (2_700, 2_300, 0, 400)
    assert_balanced(admin)
    assert sum(len(row[3]["resolved"]) for row in audit(admin)) == 2_300


def test_replayers_at_once_count_each_letter_once(
    stream: StreamLander,
    new_replayer: NewReplayer,
    new_tenant: NewTenant,
    admin: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replaying, "LETTERS_AT_ONCE", 25)
    stream.land(deliver(*((0, sent(f"t{n % 7}")) for n in range(700))))
    for n in range(7):
        new_tenant(f"t{n}")
    with ThreadPoolExecutor(max_workers=3) as threads:
        replayers = [new_replayer() for _ in range(3)]
        replays = [threads.submit(each.replay, ALL, actor=f"{n}") for n, each in enumerate(replayers)]
        told = [each.result() for each in replays]
    assert sum(each.stored for each in told) == 700
    assert ledger(admin) == {f"t{n}": (100, 100, 0, 0) for n in range(7)}
    assert sum(len(row[3]["resolved"]) for row in audit(admin)) == 700
    assert_balanced(admin)


def test_a_letter_that_is_being_replayed_is_left_to_whoever_does(
    stream: StreamLander,
    new_replayer: NewReplayer,
    new_tenant: NewTenant,
    admin: psycopg.Connection,
    database: Database,
) -> None:
    stream.land(deliver((0, sent()), (0, sent("globex"))))
    new_tenant("acme")
    new_tenant("globex")
    admin.execute("insert into control.landing_progress select 'acme', '1'::xid8")
    with ThreadPoolExecutor(max_workers=1) as thread, database.connect_admin(autocommit=True) as blocker:
        with blocker.transaction():
            blocker.execute("select from control.landing_progress for update")
            held = thread.submit(new_replayer().replay, Selection(tenant_id="acme"), actor="slow")
            wait_until(lambda: waiting(admin), what="the replayer to wait")
            assert new_replayer().replay(ALL, actor="quick") == Replayed(tried=1, stored=1)
        assert held.result(20) == Replayed(tried=1, stored=1)
    assert ledger(admin) == {"acme": (1, 1, 0, 0), "globex": (1, 1, 0, 0)}


def test_a_replay_that_fails_in_the_middle_leaves_everything_as_it_was(
    stream: StreamLander, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    stream.land(deliver((0, sent()), (0, sent())))
    new_tenant("acme")
    admin.execute("""
        create function public.fail() returns trigger language plpgsql as
            'begin raise exception ''gone'' using errcode = ''admin_shutdown''; end';
        create trigger fails before insert on control.audit_log for each row execute function public.fail()
    """)
    before = everything(admin)
    with pytest.raises(DatabaseUnavailable):
        replayer.replay(ALL, actor=WHO)
    assert everything(admin) == before
    admin.execute("drop trigger fails on control.audit_log")
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=2, stored=2)


def test_letters_of_events_that_the_api_landed_are_replayed_too(
    database: Database, replayer: LetterReplayer, new_tenant: NewTenant, admin: psycopg.Connection
) -> None:
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    lander.land([sent(), sent()])
    lander.close()
    new_tenant("acme")
    assert replayer.replay(ALL, actor=WHO) == Replayed(tried=2, stored=2)
    assert_balanced(admin)


def waiting(admin: psycopg.Connection) -> bool:
    """Whether a lander of this database waits for a lock."""
    found = admin.execute(
        "select from pg_stat_activity where datname = current_database() "
        "and usename = 'workbench_lander' and wait_event_type = 'Lock'"
    )
    return found.rowcount == 1
