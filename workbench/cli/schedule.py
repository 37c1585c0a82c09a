"""`workbench schedule`: the promotion loop as a process. Composes it from settings and the database."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core import logs
from pipeline.core.clock import utc_now
from workbench.cli.context import read_settings
from workbench.cli.metrics import served_metrics
from workbench.cli.notifications import delivering_meanwhile
from workbench.cli.promote import build_promoter
from workbench.cli.service import SupervisedFlag, service

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from pipeline.promote.promotion import Promotion

MOST_RULES = 3
"""Rules that a held tenant's line names."""

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
    turns. It also delivers notifications to the webhook, if one is set, and
    serves the metrics of promotions on WORKBENCH_SCHEDULE_METRICS_PORT.

    Example:
      WORKBENCH_PROMOTE_EVERY_SECONDS=600 workbench schedule
    """
    from pipeline.core.database import ServiceRole
    from pipeline.schedule.loop import run_loop
    from pipeline.schedule.pending import is_pending

    settings = read_settings()
    every = timedelta(seconds=settings.promote_every_seconds)
    with service(settings, "schedule", supervised=supervised) as (database, ending):
        promoter = build_promoter(database, settings)

        def promote() -> None:
            tell(promoter.promote(asked_by="schedule", progress=log.debug))

        def pending() -> bool:
            if not at_start:
                return False
            with database.connect(ServiceRole.STEWARD, application="workbench_schedule") as connection:
                return is_pending(connection)

        log.info("promoting every %s", every)
        # Told to end in the middle of a promotion, it leaves at once: the marts change in one
        # transaction, and the next promotion clears up after one that did not finish.
        with suppress(KeyboardInterrupt), delivering_meanwhile(database, settings), _measured(database, settings):
            run_loop(promote, pending=pending, every=every, clock=utc_now, stop=ending)


@contextmanager
def _measured(database: Database, settings: Settings) -> Iterator[None]:
    """Serve the metrics of promotions while the block runs, if they have a port."""
    if settings.schedule_metrics_port is None:
        yield
        return
    with served_metrics(database, settings) as url:
        log.info("metrics at %s", url)
        yield


def tell(promotion: Promotion) -> None:
    """Log what came of a promotion: a line for all, and one for each tenant that it holds."""
    with logs.bound(promotion_id=promotion.id):
        log.info("%s", summary(promotion))
        for tenant_id, hold in promotion.held.items():
            rules = ", ".join(f"{finding.boundary}: {finding.rule}" for finding in hold.findings[:MOST_RULES])
            about = {"tenant_id": tenant_id}
            log.warning("%s is held (%s): %s", tenant_id, hold.state, rules or "no rule failed", extra=about)


def summary(promotion: Promotion) -> str:
    """A promotion in a line of a log."""
    held = ", ".join(f"{tenant_id} ({hold.state})" for tenant_id, hold in promotion.held.items())
    return (
        f"promotion {promotion.id} {promotion.state}: {sum(promotion.promoted.values())} events of "
        f"{len(promotion.promoted)} tenants promoted, held: {held or 'none'}, "
        f"{sum(promotion.seconds.values()):.1f} s"
    )
