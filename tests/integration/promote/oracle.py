"""The marts as plain Python computes them over all events at once: no windows, no merging, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

Event = Mapping[str, Any]
Row = tuple[Any, ...]
Key = Callable[[Event], Hashable]


def marts(events: Sequence[Event], names: Mapping[str, str]) -> dict[str, list[Row]]:
    """Mart -> its rows, in the order of the columns in the ymls, sorted; `names` are the tenants'."""
    users = [event for event in events if event["user_id"] is not None]
    tables = {
        "fct_usage_events": [_fact(event) for event in events],
        "fct_sessions": [
            _session(key, group)
            for key, group in _groups((e for e in events if e["session_id"] is not None), "tenant_id", "session_id")
        ],
        "fct_user_activity": [
            (*key, len(group), _first(group), _last(group))
            for key, group in _groups(users, "tenant_id", "user_id", _day, "event_type")
        ],
        "dim_users": [
            (*key, _first(group), _last(group), len(group), len({_day(e) for e in group}))
            for key, group in _groups(users, "tenant_id", "user_id")
        ],
        "dim_tenants": [
            (*key, names[str(key[0])], _first(group), _last(group), len(group), _users(group), _sessions(group))
            for key, group in _groups(events, "tenant_id")
        ],
        "tenant_usage_metrics": [
            (*key, len(group), _users(group)) for key, group in _groups(events, "tenant_id", _day, "event_type")
        ],
        "active_users": [
            (key[0], period, key[1], _users(group), len(group))
            for period, start in (("day", _day), ("week", _week), ("month", _month))
            for key, group in _groups(events, "tenant_id", start)
        ],
        "feature_adoption": [
            (*key, _users(group), len(group), _first(group), _last(group))
            for key, group in _groups(events, "tenant_id", "event_type")
        ],
    }
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def _fact(event: Event) -> Row:
    lag = (event["received_at"] - event["occurred_at"]).total_seconds()
    before = (event["tenant_id"], event["event_id"], event["event_type"], event["occurred_at"], _day(event))
    return (*before, event["received_at"], lag, event["user_id"], event["session_id"], {})


def _session(key: Row, group: list[Event]) -> Row:
    first = min(group, key=lambda e: (e["occurred_at"], e["user_id"] is None, (e["user_id"] or "").encode()))
    seconds = (_last(group) - _first(group)).total_seconds()
    return (*key, first["user_id"], _first(group), _last(group), seconds, len(group))


def _groups(events: Iterable[Event], *by: str | Key) -> list[tuple[Row, list[Event]]]:
    def key(event: Event) -> Row:
        return tuple(event[part] if isinstance(part, str) else part(event) for part in by)

    return [(found, list(group)) for found, group in groupby(sorted(events, key=lambda e: repr(key(e))), key=key)]


def _day(event: Event) -> date:
    moment: datetime = event["occurred_at"]
    return moment.date()


def _week(event: Event) -> date:
    return _day(event) - timedelta(days=_day(event).weekday())


def _month(event: Event) -> date:
    return _day(event).replace(day=1)


def _first(group: list[Event]) -> datetime:
    first: datetime = min(event["occurred_at"] for event in group)
    return first


def _last(group: list[Event]) -> datetime:
    last: datetime = max(event["occurred_at"] for event in group)
    return last


def _users(group: list[Event]) -> int:
    return len({event["user_id"] for event in group} - {None})


def _sessions(group: list[Event]) -> int:
    return len({event["session_id"] for event in group} - {None})
