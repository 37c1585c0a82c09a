"""What is in flight becomes part of the account; dead letters as people see them; the doctor's judgements."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from pipeline.core.clock import EPOCH, HOUR, hour_of
from pipeline.stream.looking import Extent
from pipeline.stream.spool import Row, Spool
from tests.factories import MOMENT
from workbench.accounting.in_flight import InFlight
from workbench.accounting.ledger import LedgerHour, with_in_flight
from workbench.diagnosis.stream import judge_landing, spools
from workbench.letters import hex_dump, readable
from workbench.overview import TenantStatus, total
from workbench.overview import with_in_flight as tenants_with_in_flight

NOW = hour_of(MOMENT)


def hour(tenant_id: str, number: int = NOW, stored: int = 5) -> LedgerHour:
    moment = EPOCH + number * HOUR
    return LedgerHour(
        tenant_id=tenant_id, hour=moment, accepted=stored, stored=stored, duplicate=0, dead_lettered=0, in_flight=0
    )


def status(tenant_id: str, stored: int = 5) -> TenantStatus:
    return TenantStatus(
        tenant_id=tenant_id, status="active", accepted=stored, stored=stored, duplicate=0, dead_lettered=0,
        in_flight=0, pending=0, discarded=0, as_of=None, held=None, held_by=None,
    )  # fmt: skip


def test_what_is_in_flight_is_accepted_too_in_hours_and_tenants_that_have_nothing_else_as_well() -> None:
    counted = {("acme", NOW): 2, ("acme", NOW - 1): 3, ("nobody", NOW): 1}
    rows = with_in_flight([hour("acme"), hour("globex")], counted)
    assert [(row.tenant_id, hour_of(row.hour) - NOW, row.accepted, row.in_flight) for row in rows] == [
        ("acme", -1, 3, 3),
        ("acme", 0, 7, 2),
        ("globex", 0, 5, 0),
        ("nobody", 0, 1, 1),
    ]
    assert all(row.accepted == row.stored + row.duplicate + row.dead_lettered + (row.in_flight or 0) for row in rows)

    tenants = tenants_with_in_flight([status("acme"), status("globex")], InFlight(counted=counted))
    assert [(each.tenant_id, each.status, each.accepted, each.in_flight) for each in tenants] == [
        ("acme", "active", 10, 5),
        ("globex", "active", 5, 0),
        ("nobody", "unknown", 1, 1),
    ]
    assert (total(tenants).accepted, total(tenants).in_flight) == (16, 6)


def test_where_it_is_not_known_it_is_none_and_not_0() -> None:
    assert [row.in_flight for row in with_in_flight([hour("acme")], None)] == [None]
    tenants = tenants_with_in_flight([status("acme")], InFlight(problem="No broker answers."))
    assert total(tenants).in_flight is None
    assert InFlight(problem="No broker answers.").total is None
    assert total([]).in_flight == 0


def test_bytes_are_shown_as_text_or_as_a_dump() -> None:
    assert readable('{"a": "ä"}'.encode()) == '{"a": "ä"}'
    assert readable(b"\xff\x00") is None
    assert readable(b"a\0b") is None
    lines = hex_dump(bytes(range(60, 80))).splitlines()
    assert lines[0] == "00000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK"
    assert lines[1].startswith("00000010  4c 4d 4e 4f  ")
    assert lines[1].endswith("  LMNO")
    assert hex_dump(b"") == ""


@pytest.mark.parametrize(
    ("landed", "end", "state", "told"),
    [
        ({0: 30}, 30, "ok", "0 records behind"),
        ({0: 20}, 30, "ok", "10 records behind"),
        ({}, 30, "warn", "nothing has landed yet, 20 records wait"),
        ({0: 99}, 30, "warn", "end before what was landed"),
        ({0: 10}, 1_000_000, "warn", "999,990 records behind"),
    ],
)
def test_how_far_landing_is_behind_is_judged(landed: dict[int, int], end: int, state: str, told: str) -> None:
    found = judge_landing({0: Extent(beginning=10, end=end)}, landed)
    assert (found.state, bool(found.remedy)) == (state, state != "ok")
    assert told in found.detail


def test_spooled_events_that_nobody_drains_are_found(tmp_path: Path) -> None:
    assert spools(tmp_path / "spool").state == "ok"
    spool = Spool(tmp_path / "spool", most_bytes=1 << 24)
    spool.append([Row("acme", 0, NOW, b"{}"), Row("acme", 0, NOW, b"{}")])
    held = spools(tmp_path / "spool")
    assert "2 acknowledged events wait" in held.detail
    assert "no API" not in held.detail
    spool.close()
    orphan = spools(tmp_path / "spool")
    assert (orphan.state, "no API of this folder runs" in orphan.detail) == ("warn", True)
    with (tmp_path / "spool" / "spool-7.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "no API" not in spools(tmp_path / "spool").detail
