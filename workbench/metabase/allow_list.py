"""What the database knows of Metabase: which dashboards there are and may be embedded, and which secret is in use.

The API signs for what stands here, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg.rows import class_row

from pipeline.core.audit import record
from pipeline.core.database import Database
from pipeline.core.errors import MetabaseError

FIRST_GENERATION = 1

IN_TURN = "select pg_advisory_lock(hashtext('workbench metabase'))"
"""Two that apply at once would make everything twice. The lock ends with the connection."""

READ_STATE = "select site_url, secret_generation, next_generation from control.metabase_state"
SET_STATE = """
insert into control.metabase_state (site_url, secret_generation) values (%(site_url)s, %(generation)s)
on conflict (only_row) do update set site_url = excluded.site_url, changed_at = clock_timestamp()
where metabase_state.site_url is distinct from excluded.site_url
"""
READ = "select slug, dashboard_id, title, embedded, spec_hash from control.dashboards order by slug"
REMOVE = "delete from control.dashboards where slug = any(%s)"
ADD = """
insert into control.dashboards (slug, dashboard_id, title, embedded, spec_hash)
values (%(slug)s, %(dashboard_id)s, %(title)s, %(embedded)s, %(spec_hash)s)
"""


class MetabaseState(msgspec.Struct, frozen=True, kw_only=True):
    """The address that browsers find Metabase at, and from which generation its secret is derived."""

    site_url: str
    secret_generation: int
    next_generation: int | None


class AppliedDashboard(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard that is in Metabase as its file says."""

    slug: str
    dashboard_id: int
    title: str
    embedded: bool
    spec_hash: str


def read_state(connection: psycopg.Connection) -> MetabaseState | None:
    """What is known; None before Metabase is set up."""
    return connection.cursor(row_factory=class_row(MetabaseState)).execute(READ_STATE).fetchone()


def read_applied(connection: psycopg.Connection) -> list[AppliedDashboard]:
    """What was applied last, by slug."""
    return connection.cursor(row_factory=class_row(AppliedDashboard)).execute(READ).fetchall()


def generation_in_use(state: MetabaseState | None) -> int:
    """The generation of the secret that Metabase must have."""
    return FIRST_GENERATION if state is None else state.secret_generation


@contextmanager
def in_turn(database: Database) -> Iterator[None]:
    """Wait until nobody else applies, and keep others waiting."""
    with database.connect_admin(autocommit=True) as connection:
        connection.execute(IN_TURN)
        yield


def require_no_rotation(state: MetabaseState | None) -> None:
    """Raise MetabaseError while the secret is being replaced: whose it is to write must be beyond doubt."""
    if state is not None and state.next_generation is not None:
        raise MetabaseError(
            "The embedding secret is being replaced, and that has not come to its end.",
            remedy="Run `workbench embeds rotate` again, then this.",
        )


def write(
    connection: psycopg.Connection,
    dashboards: Sequence[AppliedDashboard],
    *,
    site_url: str,
    generation: int,
    actor: str,
) -> list[str]:
    """Note what was applied, as the administrator, in the caller's transaction; answers the slugs that changed.

    `generation` is that of the secret that was applied. Raises MetabaseError where it has been replaced meanwhile.
    """
    state = read_state(connection)
    require_no_rotation(state)
    if generation_in_use(state) != generation:
        raise MetabaseError("The embedding secret was replaced meanwhile.", remedy="Run it again.")
    connection.execute(SET_STATE, {"site_url": site_url, "generation": generation})
    before = {each.slug: each for each in read_applied(connection)}
    now = {each.slug: each for each in dashboards}
    changed = sorted(slug for slug in before.keys() | now.keys() if before.get(slug) != now.get(slug))
    if changed:
        connection.execute(REMOVE, (changed,))
        for slug in changed:
            if slug in now:
                connection.execute(ADD, msgspec.structs.asdict(now[slug]))
        record(connection, actor=actor, action="metabase_apply", details={"dashboards": changed})
    return changed
