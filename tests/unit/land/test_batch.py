"""What becomes of a batch follows from what the database said of it."""

from __future__ import annotations

from pipeline.core.clock import hour_of
from pipeline.core.events import Fate
from pipeline.land.batch import fates, judge, tally
from pipeline.land.dead_letters import NO_TENANT, Reason
from pipeline.land.ledger import Tally
from tests.factories import MOMENT, event

ACME = frozenset({"acme"})
HOUR = hour_of(MOMENT)


def test_each_event_that_is_not_stored_gets_the_fate_that_its_reason_gives() -> None:
    resent, changed, poison, stranger = event(), event(), event(), event(tenant_id="nobody")
    events = [event(), resent, changed, poison, stranger]
    left_out = judge(events, known=ACME, refused={3: "it is poison"}, taken={1: resent.payload_hash, 2: b"another"})
    assert [landed.fate for landed in fates(5, left_out)] == [
        Fate.STORED,
        Fate.DUPLICATE,
        Fate.CONFLICT,
        Fate.DEAD_LETTERED,
        Fate.DEAD_LETTERED,
    ]
    assert {position: letter.reason for position, letter in left_out.letters.items()} == {
        2: Reason.CONFLICT,
        3: Reason.REFUSED_BY_DATABASE,
        4: Reason.UNKNOWN_TENANT,
    }
    assert tally(events, stored={("acme", HOUR): 1}, left_out=left_out) == [
        Tally(tenant_id="acme", hour=HOUR, accepted=4, stored=1, duplicate=1, dead_lettered=2),
        Tally(tenant_id="nobody", hour=HOUR, accepted=1, stored=0, duplicate=0, dead_lettered=1),
    ]


def test_what_was_accepted_is_counted_from_the_input_whatever_the_database_says() -> None:
    events = [event(), event()]
    left_out = judge(events, known=ACME, refused={}, taken={})
    (counted,) = tally(events, stored={("acme", HOUR): 1}, left_out=left_out)
    assert (counted.accepted, counted.stored) == (2, 1)


def test_tenant_ids_that_cannot_be_one_are_counted_together_under_a_name_that_no_tenant_has() -> None:
    events = [event(tenant_id="\0"), event(tenant_id="\ud800"), event(tenant_id="Acme Ltd")]
    left_out = judge(events, known=ACME, refused={}, taken={})
    assert tally(events, stored={}, left_out=left_out) == [
        Tally(tenant_id=NO_TENANT, hour=HOUR, accepted=3, stored=0, duplicate=0, dead_lettered=3)
    ]
