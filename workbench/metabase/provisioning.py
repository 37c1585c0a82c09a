"""The three things that are done with a Metabase: seeing what differs, writing it, and looking for what strayed.

Nothing here writes but `apply`, and `apply` writes only what differs: a second one writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pipeline.core.database import Database
from workbench.metabase.allow_list import (
    AppliedDashboard,
    generation_in_use,
    in_turn,
    read_applied,
    read_state,
    require_no_rotation,
    write,
)
from workbench.metabase.applying import Applier, Progress
from workbench.metabase.client import START_SECONDS
from workbench.metabase.desired import Desired, hash_of
from workbench.metabase.differences import Change, changes
from workbench.metabase.opening import Administrator, reached
from workbench.metabase.reading import Holdings, Stranger
from workbench.metabase.resources import Dashboard, Key


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a Metabase stands to the files."""

    is_new: bool
    """Nobody has set it up: everything is still to be made."""
    changes: tuple[Change, ...]
    strangers: tuple[Stranger, ...] = ()
    allow_list: tuple[str, ...] = ()
    """Dashboards of which the database knows otherwise than it is."""

    @property
    def is_as_described(self) -> bool:
        """Whether an `apply` would write nothing."""
        return not (self.is_new or self.changes or self.allow_list)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What an `apply` did."""

    set_up: bool
    """It made the administrator."""
    changes: tuple[Change, ...]
    allow_list: tuple[str, ...]
    """Dashboards whose entry in the database changed."""
    dashboards: tuple[AppliedDashboard, ...]
    strangers: tuple[Stranger, ...]


def read_generation(database: Database, *, writing: bool = False) -> int:
    """From which generation Metabase's secret is derived. To write, raises MetabaseError while it is being replaced."""
    with database.connect_admin() as connection:
        state = read_state(connection)
    if writing:
        require_no_rotation(state)
    return generation_in_use(state)


def look(
    database: Database, administrator: Administrator, desired: Desired, *, patience_seconds: float = START_SECONDS
) -> Standing:
    """How Metabase stands; writes nothing. Raises MetabaseUnavailable, MetabaseError."""
    with reached(administrator, patience_seconds=patience_seconds) as metabase:
        if not metabase.is_set_up():
            return Standing(is_new=True, changes=tuple(changes(desired.resources, {})))
        metabase.sign_in(email=administrator.email, password=administrator.password)
        holdings = Holdings(metabase, desired)
        holdings.read()
    with database.connect_admin() as connection:
        known = {each.slug: each for each in read_applied(connection)}
    there = {each.slug: each for each in _dashboards(desired, holdings)}
    return Standing(
        is_new=False,
        changes=tuple(changes(desired.resources, holdings.found)),
        strangers=tuple(holdings.strangers),
        allow_list=tuple(sorted(slug for slug in known.keys() | there.keys() if known.get(slug) != there.get(slug))),
    )


def apply(
    database: Database,
    administrator: Administrator,
    desired: Desired,
    *,
    generation: int,
    site_name: str,
    site_url: str,
    actor: str,
    progress: Progress,
    patience_seconds: float = START_SECONDS,
) -> Applied:
    """Bring Metabase to what it must hold, and note it in the database.

    `generation` is that of the secret in `desired`. Raises MetabaseUnavailable, MetabaseError.
    """
    progress(f"Waiting for Metabase at {administrator.url}")
    with reached(administrator, patience_seconds=patience_seconds) as metabase, in_turn(database):
        is_new = not metabase.is_set_up()
        if is_new:
            progress(f"Setting Metabase up, with {administrator.email} as its administrator")
            metabase.set_up(email=administrator.email, password=administrator.password, site_name=site_name)
        else:
            metabase.sign_in(email=administrator.email, password=administrator.password)
        holdings = Holdings(metabase, desired)
        holdings.read()
        applier = Applier(metabase, desired, holdings, passwords=database.password, progress=progress)
        done = applier.apply()
        dashboards = _dashboards(desired, holdings)
        with database.connect_admin() as connection:
            noted = write(connection, dashboards, site_url=site_url, generation=generation, actor=actor)
    return Applied(
        set_up=is_new,
        changes=tuple(done),
        allow_list=tuple(noted),
        dashboards=tuple(dashboards),
        strangers=tuple(holdings.strangers),
    )


def _dashboards(desired: Desired, holdings: Holdings) -> Sequence[AppliedDashboard]:
    """Those that are there, by slug."""
    there = []
    for slug, path in sorted(desired.slugs.items()):
        key = Key("dashboard", path)
        (wanted,) = (each for each in desired.resources if isinstance(each, Dashboard) and each.path == path)
        if key in holdings.ids:
            there.append(
                AppliedDashboard(
                    slug=slug,
                    dashboard_id=holdings.ids[key],
                    title=path[-1],
                    embedded=wanted.embedded,
                    spec_hash=hash_of(desired, path),
                )
            )
    return there
