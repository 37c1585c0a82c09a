"""What there is in Metabase, in words that are the same for what must be and for what is.

Things are named, never numbered: a card knows its collection and its database by name. So what the files ask for
and what Metabase answers are values of the same types, and can be compared.
"""

from __future__ import annotations

from typing import Any

import msgspec

Path = tuple[str, ...]
"""Names of collections, from the outermost to the thing itself."""


class Setting(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="setting"):
    """One of Metabase's settings."""

    key: str
    value: Any
    secret: bool = False
    """It is compared, and never shown."""

    @property
    def path(self) -> Path:
        """What it is called."""
        return (self.key,)


class Connection(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="database"):
    """A database, and as whom Metabase logs in there."""

    name: str
    host: str
    port: int
    dbname: str
    user: str
    schemas: str
    """Which schemas Metabase looks at, comma-separated."""
    ssl: bool
    is_full_sync: bool
    auto_run_queries: bool = True
    answers: bool = True
    """Metabase gets in, which is how its password is compared."""

    @property
    def path(self) -> Path:
        """What it is called."""
        return (self.name,)


class Collection(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="collection"):
    """A folder."""

    path: Path
    description: str | None


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag of a card's SQL: where a value is put in."""

    id: str
    name: str
    display_name: str
    type: str
    default: Any = None
    required: bool = False


class Card(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="card"):
    """A question in SQL."""

    path: Path
    description: str | None
    database: str
    sql: str
    tags: tuple[Tag, ...]
    """By name."""
    display: str
    settings: dict[str, Any]
    type: str = "question"
    embedded: bool = False
    """Cards are published as part of a dashboard, never by themselves."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of a dashboard."""

    id: str
    name: str
    slug: str
    type: str
    default: Any = None
    values: tuple[str, ...] = ()


class Wire(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The filter whose value a tag of a card takes."""

    parameter: str
    """Its id."""
    tag: str


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A card on a dashboard."""

    card: Path
    row: int
    column: int
    width: int
    height: int
    mappings: tuple[Wire, ...]
    """In order."""
    settings: dict[str, Any] = {}
    others: int = 0
    """More questions drawn into the same picture."""


class Dashboard(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="dashboard"):
    """A dashboard, and what of it may be embedded."""

    path: Path
    description: str | None
    parameters: tuple[Parameter, ...]
    cards: tuple[Placed, ...]
    """In the order in which they stand."""
    embedded: bool
    embedding: dict[str, str]
    """Slug of a parameter to locked, enabled or disabled."""
    tabs: int = 0


Resource = Setting | Connection | Collection | Card | Dashboard


class Key(msgspec.Struct, frozen=True, order=True):
    """Which thing is meant: its kind, and its path."""

    kind: str
    path: Path

    def __str__(self) -> str:
        return f"{self.kind} {' / '.join(self.path)}"


def key_of(resource: Resource) -> Key:
    """Which thing a value is about."""
    return Key(str(resource.__struct_config__.tag), resource.path)
