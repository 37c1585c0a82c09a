"""What Metabase must hold: settings, two databases, and the dashboards of the files with their cards.

It is worked out from its arguments alone. Every id that we choose follows from names, so that it is the same each time.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

import msgspec

from pipeline.core.database import ServiceRole
from workbench.metabase.resources import (
    Card,
    Collection,
    Connection,
    Dashboard,
    Parameter,
    Path,
    Placed,
    Resource,
    Setting,
    Tag,
    Wire,
)
from workbench.metabase.spec import CardSpec, DashboardSpec, SpecFile
from workbench.metabase.sql_law import TENANT
from workbench.metabase.template import parse

NAMESPACE = uuid.UUID("5b0d9a4e-3f0b-5e6e-9a55-0d6d5a8f7c11")
COLLECTIONS = {"customers": "Customer dashboards", "staff": "Staff dashboards"}
OURS = "Made by `workbench metabase apply`: what is changed here by hand is set back by the next one."
DATABASES = {"customers": "Tenant figures", "staff": "Workbench"}
LOGINS = {"customers": ServiceRole.EMBED, "staff": ServiceRole.BI}
SCHEMAS = {"customers": "metrics", "staff": "marts,cache,control"}
TAG_TYPES = {"date/single": "date", "number/=": "number", "string/=": "text"}
EMBEDDING = ("enable-embedding-static", "enable-embedding-modular")
"""The switch of embedding, as releases of Metabase call it."""
LOCALHOST = "localhost:*"
"""An origin that Metabase adds by itself."""
ORIGINS = "embedding-app-origins-sdk"
SECRET = "embedding-secret-key"
TENANT_PARAMETER = Parameter(id="7e4a4700", name="Tenant", slug=TENANT, type="string/=")


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What of a deployment Metabase must know."""

    name: str
    url: str
    """The address at which browsers find Metabase."""
    secret: str
    """What embed tokens are signed with."""
    origins: tuple[str, ...]
    """Pages that may hold embedded dashboards of the newer kind."""
    host: str
    """Where Metabase finds PostgreSQL."""
    port: int
    dbname: str
    ssl: bool = False
    """The connection is encrypted."""


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """All that Metabase must hold, in the order in which it can be made."""

    resources: tuple[Resource, ...]
    slugs: dict[str, Path]
    """Of the dashboards."""


def desired_of(files: Sequence[SpecFile], site: Site) -> Desired:
    """What these files and this site ask for."""
    resources: list[Resource] = [*_settings(site), *(_connection(audience, site) for audience in DATABASES)]
    resources += [Collection(path=(name,), description=OURS) for name in COLLECTIONS.values()]
    resources += [Collection(path=_folder(file.dashboard), description=OURS) for file in files]
    for file in files:
        resources += [card_of(file.dashboard, card) for card in file.dashboard.cards]
        resources.append(dashboard_of(file.dashboard))
    return Desired(resources=tuple(resources), slugs={file.slug: dashboard_path(file.dashboard) for file in files})


def dashboard_path(dashboard: DashboardSpec) -> Path:
    """Where a dashboard is."""
    return (*_folder(dashboard), dashboard.title)


def hash_of(desired: Desired, path: Path) -> str:
    """A hash of a dashboard with its cards, as they must be."""
    folder = path[:-1]
    parts = [each for each in desired.resources if isinstance(each, (Card, Dashboard)) and each.path[:-1] == folder]
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def card_of(dashboard: DashboardSpec, card: CardSpec) -> Card:
    """A card of a dashboard."""
    by_slug = {parameter.slug: parameter for parameter in parameters_of(dashboard)}
    path = (*_folder(dashboard), card.name)
    tags = (
        Tag(
            id=str(uuid.uuid5(NAMESPACE, "/".join((*path, slug)))),
            name=slug,
            display_name=by_slug[slug].name,
            type=TAG_TYPES[by_slug[slug].type],
        )
        for slug in sorted(parse(card.sql).tags)
    )
    return Card(
        path=path,
        description=card.description or None,
        database=DATABASES[dashboard.audience],
        sql=card.sql,
        tags=tuple(tags),
        display=card.display,
        settings=card.settings,
    )


def dashboard_of(dashboard: DashboardSpec) -> Dashboard:
    """A dashboard; one for customers is published, with the tenant locked and all else free."""
    parameters = parameters_of(dashboard)
    for_customers = dashboard.audience == "customers"
    free = {parameter.slug: "enabled" for parameter in parameters}
    placed = [_placed(dashboard, card) for card in dashboard.cards]
    return Dashboard(
        path=dashboard_path(dashboard),
        description=dashboard.description,
        parameters=parameters,
        cards=tuple(sorted(placed, key=in_order)),
        embedded=for_customers,
        embedding=free | {TENANT: "locked"} if for_customers else {},
    )


def parameters_of(dashboard: DashboardSpec) -> tuple[Parameter, ...]:
    """The filters of a dashboard; for customers the tenant is the first."""
    declared = tuple(
        Parameter(
            id=hashlib.sha256(f"{dashboard.title}/{each.slug}".encode()).hexdigest()[:8],
            name=each.name,
            slug=each.slug,
            type=each.type,
            default=each.default,
            values=each.values,
        )
        for each in dashboard.parameters
    )
    return (TENANT_PARAMETER, *declared) if dashboard.audience == "customers" else declared


def in_order(placed: Placed) -> tuple[int, int, Path]:
    """From top to bottom, from left to right."""
    return placed.row, placed.column, placed.card


def _placed(dashboard: DashboardSpec, card: CardSpec) -> Placed:
    ids = {parameter.slug: parameter.id for parameter in parameters_of(dashboard)}
    return Placed(
        card=(*_folder(dashboard), card.name),
        row=card.place.row,
        column=card.place.column,
        width=card.place.width,
        height=card.place.height,
        mappings=tuple(sorted(Wire(parameter=ids[tag], tag=tag) for tag in parse(card.sql).tags)),
    )


def _folder(dashboard: DashboardSpec) -> Path:
    return (COLLECTIONS[dashboard.audience], dashboard.title)


def _settings(site: Site) -> list[Setting]:
    """The secret comes before the switch, which would make up one of its own."""
    settings = [
        Setting(key=SECRET, value=site.secret, secret=True),
        Setting(key=EMBEDDING[0], value=True),
        Setting(key="site-name", value=site.name),
        Setting(key="site-url", value=site.url),
        Setting(key="anon-tracking-enabled", value=False),
        Setting(key="enable-public-sharing", value=False),
    ]
    if site.origins:
        settings.append(Setting(key=ORIGINS, value=" ".join(sorted(site.origins))))
    return settings


def _connection(audience: str, site: Site) -> Connection:
    return Connection(
        name=DATABASES[audience],
        host=site.host,
        port=site.port,
        dbname=site.dbname,
        user=LOGINS[audience].value,
        schemas=SCHEMAS[audience],
        ssl=site.ssl,
        is_full_sync=audience == "staff",
    )
