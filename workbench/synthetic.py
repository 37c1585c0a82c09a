"""Synthetic product usage, in the order in which it would arrive: made up, but shaped like the real thing.

Tenant sizes follow Zipf's law, and a few of a tenant's users do most of its work: by day, on
weekdays, in the tenant's own time zone, in sessions of a few events up to dozens. Some events come
late, some twice, and some are dirty: the API refuses those. The same seed gives the same events.

Events are dicts as JSON knows them, with the tenant in `tenant_id`, as in an export.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from uuid import UUID

import msgspec

from pipeline.core.clock import Clock

Event = dict[str, object]

UNTIL = datetime(2026, 3, 1, tzinfo=UTC)
"""The end of the history: a fixed moment, so that it is the same events whenever it is made."""
DAYS = 28

LATE_SHARE = 0.02
DUPLICATE_SHARE = 0.01
DIRTY_SHARE = 0.002
EVENTS_PER_SESSION = 9
LONGEST_SESSION = 80
SECONDS_BETWEEN_EVENTS = 45
USERS_PER_EVENT = 1 / 40
USERS_WHO_ARE_ABOUT = 200
ZIPF = 1.1

# Relative activity by hour of the local day and by day of the week from Monday.
HOURS = (1, 1, 1, 1, 1, 2, 5, 12, 25, 34, 36, 33, 27, 32, 35, 34, 29, 22, 14, 10, 8, 6, 4, 2)
WEEKDAYS = (10, 11, 11, 11, 9, 3, 3)
# Hours east of UTC; fixed, so that no time zone database is needed.
OFFSETS = (-8, -7, -6, -5, -5, -3, 0, 0, 1, 1, 1, 2, 2, 3, 5.5, 8, 9, 10)
NAMES = (
    "northwind", "acme", "globex", "initech", "umbra", "hooli", "vandelay", "wonka", "stark", "tyrell",
    "cyberdyne", "soylent", "aperture", "monarch", "sirius", "duff", "oscorp", "wayne", "virtucon", "krusty",
)  # fmt: skip
PAGES = ("/", "/dashboard", "/reports", "/reports/weekly", "/settings", "/billing", "/users", "/search")
BUTTONS = ("save", "export", "share", "invite", "filter", "delete")
FEATURES = ("alerts", "cohorts", "csv_export", "dashboards", "funnels", "saved_views", "sso", "webhooks")
ENDPOINTS = ("/v1/items", "/v1/items/{id}", "/v1/orders", "/v1/search", "/v1/users")
FORMS = ("contact", "feedback", "invite", "profile", "signup")
TYPES = ("page_view", "button_click", "api_call", "feature_usage", "form_submit")
TYPE_WEIGHTS = (45, 25, 15, 11, 4)


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """A made-up tenant."""

    tenant_id: str
    share: float
    """Its part of all events."""
    zone: timezone


class Population:
    """The tenants of a seed, the largest first."""

    def __init__(self, *, tenants: int, seed: int) -> None:
        random = Random(f"{seed}/population")
        weights = [1 / rank**ZIPF for rank in range(1, tenants + 1)]
        self.seed = seed
        self.tenants = [
            Tenant(tenant_id=_name(number), share=weight / sum(weights), zone=_zone(random))
            for number, weight in enumerate(weights)
        ]

    def sizes(self, events: int) -> dict[str, int]:
        """So many events shared out, the rest to the largest; a tenant may get none."""
        sizes = {tenant.tenant_id: int(events * tenant.share) for tenant in self.tenants}
        sizes[self.tenants[0].tenant_id] += events - sum(sizes.values())
        return sizes


def history(population: Population, *, events: int) -> Iterator[Event]:
    """So many distinct valid events in their order of arrival, and duplicates and dirty ones besides."""
    sizes = population.sizes(events)
    streams = [_arrivals(tenant, population.seed, sizes[tenant.tenant_id]) for tenant in population.tenants]
    for arrival in heapq.merge(*streams, key=lambda arrival: arrival[0]):
        yield arrival[2]


def live(population: Population, random: Random, clock: Clock) -> Iterator[Event]:
    """Endless events, each of the moment in which it is asked for."""
    shares = [tenant.share for tenant in population.tenants]
    while True:
        now = clock()
        [tenant] = random.choices(population.tenants, shares)
        user = _user(tenant, random, USERS_WHO_ARE_ABOUT)
        session = f"{user}-{now:%Y%m%d%H}"
        yield _event(tenant, random, user, session, now.timestamp())


# An event with its arrival in Unix seconds, and a number that decides between equal arrivals.
_Arrival = tuple[float, int, Event]


def _arrivals(tenant: Tenant, seed: int, size: int) -> Iterator[_Arrival]:
    """A tenant's events by arrival. Only events of sessions that overlap are held in memory."""
    random = Random(f"{seed}/{tenant.tenant_id}")
    lengths = _session_lengths(random, size)
    starts = sorted(_session_start(tenant, random) for _ in lengths)
    users = max(3, int(size * USERS_PER_EVENT))
    waiting: list[_Arrival] = []
    number = 0
    for start, length in zip(starts, lengths, strict=True):
        while waiting and waiting[0][0] < start:
            yield heapq.heappop(waiting)
        for arrival, event in _session(tenant, random, users, start, length):
            heapq.heappush(waiting, (arrival, number, event))
            number += 1
    while waiting:
        yield heapq.heappop(waiting)


def _session(
    tenant: Tenant,
    random: Random,
    users: int,
    start: float,
    length: int,
) -> Iterator[tuple[float, Event]]:
    user, session, at = _user(tenant, random, users), f"s{random.getrandbits(48):012x}", start
    for _ in range(length):
        event = _event(tenant, random, user, session, at)
        arrival = at + random.expovariate(1)
        if random.random() < LATE_SHARE:
            arrival += random.uniform(1, 72) * 3600
        yield arrival, event
        if random.random() < DUPLICATE_SHARE:
            yield arrival + random.expovariate(1 / 60), event
        if random.random() < DIRTY_SHARE:
            yield arrival, _dirty(event, random)
        at += random.expovariate(1 / SECONDS_BETWEEN_EVENTS)


def _session_lengths(random: Random, size: int) -> list[int]:
    """Lengths of sessions whose events are `size` together."""
    lengths: list[int] = []
    while size > 0:
        lengths.append(min(size, LONGEST_SESSION, 1 + int(random.expovariate(1 / EVENTS_PER_SESSION))))
        size -= lengths[-1]
    return lengths


def _session_start(tenant: Tenant, random: Random) -> float:
    first = (UNTIL - timedelta(days=DAYS)).replace(tzinfo=tenant.zone)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    [day] = random.choices(days, [WEEKDAYS[day.weekday()] for day in days])
    [hour] = random.choices(range(24), HOURS)
    return day.timestamp() + (hour + random.random()) * 3600


def _event(tenant: Tenant, random: Random, user: str, session: str, at: float) -> Event:
    [event_type] = random.choices(TYPES, TYPE_WEIGHTS)
    return {
        "tenant_id": tenant.tenant_id,
        "event_id": _id(random),
        "event_type": event_type,
        "occurred_at": datetime.fromtimestamp(at, tenant.zone).isoformat(timespec="milliseconds"),
        "user_id": user,
        "session_id": session,
        "properties": _properties(event_type, random),
    }


def _properties(event_type: str, random: Random) -> dict[str, object]:
    match event_type:
        case "page_view":
            return {"path": random.choice(PAGES), "seconds": round(random.expovariate(1 / 20), 1)}
        case "button_click":
            return {"button": random.choice(BUTTONS), "path": random.choice(PAGES)}
        case "api_call":
            [status] = random.choices((200, 201, 400, 404, 500), (80, 8, 5, 5, 2))
            milliseconds = int(random.lognormvariate(4, 0.8))
            return {"endpoint": random.choice(ENDPOINTS), "status": status, "milliseconds": milliseconds}
        case "feature_usage":
            return {"feature": random.choice(FEATURES), "first": random.random() < 0.1}
        case _:
            return {"form": random.choice(FORMS), "fields": random.randint(2, 12)}


def _dirty(event: Event, random: Random) -> Event:
    """A copy with an id of its own and one defect that the event contract does not allow."""
    defects: tuple[Event, ...] = (
        {"event_type": None},
        {"event_type": "Page View"},
        {"occurred_at": "yesterday"},
        {"occurred_at": str(event["occurred_at"])[:19]},
        {"user_id": ""},
        {"properties": "path=/"},
        {"colour": "blue"},
    )
    return event | {"event_id": _id(random)} | random.choice(defects)


def _user(tenant: Tenant, random: Random, users: int) -> str:
    # The cube makes a tenth of the users do almost half of the work.
    return f"{tenant.tenant_id}-u{int(users * random.random() ** 3):05d}"


def _id(random: Random) -> str:
    return str(UUID(int=random.getrandbits(128), version=4))


def _name(number: int) -> str:
    again, name = divmod(number, len(NAMES))
    return NAMES[name] if again == 0 else f"{NAMES[name]}-{again + 1}"


def _zone(random: Random) -> timezone:
    return timezone(timedelta(hours=random.choice(OFFSETS)))
