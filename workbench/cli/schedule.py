"""`workbench schedule`: the promotion loop as a process. Composes it from settings and the database."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.clock import utc_now
from workbench.cli.context import read_settings
from workbench.cli.notifications import delivering_meanwhile
from workbench.cli.promote import build_promoter
from workbench.cli.service import SupervisedFlag, service

if TYPE_CHECKING:
    from pipeline.promote.promotion import Promotion

log = logging.getLogger(__name__)


def register(app: typer.Typer) -> None:
    """Add the `schedule` command."""
    app.command("schedule")(run)


def run(
    at_start: Annotated[
        bool,
        typer.Option("--at-start/--no-at-start", help="Promote at once too, if something is pending."),
    ] = True,
    supervised: SupervisedFlag = False,
) -> None:
    """Promote every WORKBENCH_PROMOTE_EVERY_SECONDS, until Ctrl-C or SIGTERM.

    `workbench up` runs it together with the database and the API. It promotes at
    once if something is pending, then in every slot: hourly on the hour. Where
    Airflow schedules promotions, it is not needed; where both run, they take
    turns. It also delivers notifications to the webhook, if one is set.

    Example:
      WORKBENCH_PROMOTE_EVERY_SECONDS=600 workbench schedule
    """
    from pipeline.core.database import ServiceRole
    from pipeline.schedule.loop import run_loop
    from pipeline.schedule.pending import is_pending

    settings = read_settings()
    every = timedelta(seconds=settings.promote_every_seconds)
    with service(settings, supervised=supervised) as (database, ending):
        promoter = build_promoter(database, settings)

        def promote() -> None:
            log.info("%s", summary(promoter.promote(asked_by="schedule", progress=log.debug)))

        def pending() -> bool:
            if not at_start:
                return False
            with database.connect(ServiceRole.STEWARD, application="workbench_schedule") as connection:
                return is_pending(connection)

        log.info("promoting every %s", every)
        # Told to end in the middle of a promotion, it leaves at once: the marts change in one
        # transaction, and the next promotion clears up after one that did not finish.
        with suppress(KeyboardInterrupt), delivering_meanwhile(database, settings):
            run_loop(promote, pending=pending, every=every, clock=utc_now, stop=ending)


def summary(promotion: Promotion) -> str:
    """A promotion in a line of a log."""
    held = ", ".join(f"{tenant_id} ({hold.state})" for tenant_id, hold in promotion.held.items())
    return (
        f"promotion {promotion.id} {promotion.state}: {sum(promotion.promoted.values())} events of "
        f"{len(promotion.promoted)} tenants promoted, held: {held or 'none'}, "
        f"{sum(promotion.seconds.values()):.1f} s"
    )
