"""Late events change the rows that they touch and no other; a full refresh writes true differences only.

A row that was written has another place or another transaction, whatever its values.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from psycopg import sql

from tests.integration.promote import oracle
from tests.integration.promote.estate import AROUND, MARTS, Estate, Event, event

Key = tuple[Any, ...]
PLACES = "select {key}, m.ctid::text, m.xmin::text from {mart} as m"


@pytest.fixture
def filled(estate: Estate) -> Estate:
    """Two tenants with 40 days of history, promoted in two parts."""
    estate.tenants("late", "neighbour")
    for part in (0, 1):
        estate.land(*(e for name in ("late", "neighbour") for e in history(name, part)))
        estate.promoter().promote()
    return estate


def history(tenant: str, part: int) -> list[Event]:
    """Some of three users in sessions of a day each."""
    return [
        event(
            tenant,
            AROUND + timedelta(hours=7 * (2 * i + part)),
            user_id=f"u{i % 3}",
            session_id=f"{(AROUND + timedelta(hours=14 * i)).date()}",
            event_type=["page_view", "api_call"][i % 2],
        )
        for i in range(70)
    ]


def places(estate: Estate) -> dict[str, dict[Key, tuple[str, str]]]:
    """Mart -> key -> where each row is, and which transaction wrote it."""
    found = {}
    with estate.admin() as connection:
        for mart in MARTS:
            key = sql.SQL(", ").join(map(sql.Identifier, mart.key))
            rows = connection.execute(sql.SQL(PLACES).format(key=key, mart=sql.Identifier("marts", mart.name)))
            found[mart.name] = {row[:-2]: row[-2:] for row in rows}
    return found


def written(before: dict[str, dict[Key, Any]], after: dict[str, dict[Key, Any]]) -> dict[str, set[Key]]:
    """Mart -> the keys of the rows that were inserted, updated or deleted."""
    return {
        mart: {key for key in {**rows, **before[mart]} if rows.get(key) != before[mart].get(key)}
        for mart, rows in after.items()
    }


def touched(events: list[Event]) -> dict[str, set[Key]]:
    """Mart -> the keys that these events have a part in."""
    tables = oracle.marts(events, {"late": "The late"})
    return {mart.name: {row[: len(mart.key)] for row in tables[mart.name]} for mart in MARTS}


def test_late_events_write_exactly_the_keys_that_they_touch(filled: Estate) -> None:
    before = places(filled)
    day = AROUND + timedelta(days=9, hours=-9)
    late = [
        event("late", day, user_id="u1", session_id=str(day.date()), received_at=day + timedelta(days=30)),
        event("late", day + timedelta(minutes=5), user_id="new", event_type="api_call"),
        # Before everything else: it begins earlier what began already.
        event("late", AROUND - timedelta(days=50), user_id="u2", session_id="first"),
    ]
    filled.land(*late)
    promotion = filled.promoter().promote()
    changed = written(before, places(filled))
    assert changed == touched(late)
    assert changed["tenant_usage_metrics"] == {
        ("late", day.date(), "page_view"),
        ("late", day.date(), "api_call"),
        ("late", (AROUND - timedelta(days=50)).date(), "page_view"),
    }
    assert {mart: len(keys) for mart, keys in changed.items()} == dict(promotion.rows_written)
    filled.expect_published(filled.landed)


def test_undoing_writes_exactly_the_same_keys_again(filled: Estate) -> None:
    contents = filled.hashes()
    late = [event("late", AROUND + timedelta(days=3), user_id="u0", session_id="later")]
    filled.land(*late)
    promotion = filled.promoter().promote()
    before = places(filled)
    filled.promoter().rollback(promotion.id, actor="sam", reason="because")
    assert written(before, places(filled)) == touched(late)
    assert filled.hashes() == contents


@pytest.mark.parametrize("tenants", [None, ["late"]])
def test_a_full_refresh_writes_nothing_where_nothing_differs(filled: Estate, tenants: list[str] | None) -> None:
    before = places(filled)
    promotion = filled.promoter().promote(tenants=tenants, full_refresh=True)
    assert set(promotion.promoted) == set(tenants or ("late", "neighbour"))
    assert places(filled) == before
    assert sum(promotion.rows_written.values()) + sum(promotion.rows_deleted.values()) == 0


def test_a_full_refresh_of_one_tenant_writes_its_differences_in_every_mart(filled: Estate) -> None:
    """In each mart one row is wrong, one is missing and one is too much."""
    right = filled.hashes()
    with filled.admin() as connection:
        for mart in MARTS:
            rows = connection.execute(
                sql.SQL("select ctid::text from {} where tenant_id = 'late' order by {} limit 2").format(
                    sql.Identifier("marts", mart.name), sql.SQL(", ").join(map(sql.Identifier, mart.key))
                )
            ).fetchall()
            for statement, (place,) in zip(SPOIL[mart.name], rows, strict=False):
                connection.execute(statement, (place,))
    before = places(filled)
    spoiled = filled.hashes()
    promotion = filled.promoter().promote(tenants=["late"], full_refresh=True)
    assert filled.hashes() == right
    changed = written(before, places(filled))
    assert {mart: len(keys) for mart, keys in changed.items()} == dict(promotion.rows_written)
    assert set(promotion.rows_written.values()) <= {1, 2}
    filled.promoter().rollback(promotion.id, actor="sam", reason="because")
    assert filled.hashes() == spoiled


WRONG = {
    "fct_usage_events": "lag_seconds = lag_seconds + 1",
    "fct_sessions": "events = events + 1",
    "fct_user_activity": "events = events + 1",
    "dim_users": "user_id = user_id, events = events + 1",
    "dim_tenants": "display_name = 'Somebody else'",
    "tenant_usage_metrics": "events = events + 1",
    "active_users": "events = events + 1",
    "feature_adoption": "events = events + 1",
}
SPOIL: dict[str, tuple[sql.Composed, ...]] = {
    name: (
        sql.SQL("update {} set {} where ctid = %s::tid").format(sql.Identifier("marts", name), sql.SQL(how)),
        sql.SQL("delete from {} where ctid = %s::tid").format(sql.Identifier("marts", name)),
    )
    for name, how in WRONG.items()
}
