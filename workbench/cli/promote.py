"""`workbench promote`: check what arrived, and publish what passes."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pipeline.core.clock import utc_now
from workbench.cli.actor import actor
from workbench.cli.context import DBT_DIR, open_database, read_settings
from workbench.cli.notifications import delivering_afterwards
from workbench.cli.observed import observed_briefly
from workbench.cli.output import JsonFlag, Row, count, errors, note, print_json, print_rows, say, text

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from pipeline.core.verdicts import Report
    from pipeline.promote.promoter import Promoter
    from pipeline.promote.promotion import Hold, Promotion, PromotionState

TENANTS_HELD = 3
NOT_JUDGED = 4
LONGEST_KEY = 200
UNFINISHED = ("built", "judged")
"""The states in which a promotion may rest."""
PARSED = "dbt"
"""The folder in the home folder where dbt keeps what it parsed."""
MOST_SHOWN, MOST_REASONS = 50, 3
WITHOUT_FINDING = {
    "empty": "events are waiting, but the candidate holds none of them",
    "unseen": "the checks' answer does not mention this tenant",
}


class Step(StrEnum):
    """How far a promotion is brought."""

    BUILD = "build"
    CHECK = "check"
    PUBLISH = "publish"


def register(app: typer.Typer) -> None:
    """Add the `promote` command."""
    app.command("promote")(run)


def build_promoter(database: Database, settings: Settings, *, parsed_dir: Path | None = None) -> Promoter:
    """The promotion with Great Expectations as its gate: what every process that promotes runs.

    `parsed_dir` is where a process that promotes once leaves what dbt parsed to the next.
    """
    from checks.gate import ExpectationsGate
    from checks.leaks import LeakProbe
    from checks.suites import suites
    from checks.thresholds import Thresholds, load
    from pipeline.core.database import ServiceRole
    from pipeline.promote.promoter import Promoter
    from pipeline.promote.retention import Keeper

    # dbt opens the root logger, to which Great Expectations would tell of its temporary folders.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    tuned = suites(load(settings.thresholds_file) if settings.thresholds_file else Thresholds())
    gate = ExpectationsGate(database.url(ServiceRole.PUBLISHER), suites=tuned, probe=LeakProbe(database))
    keeper = Keeper(undo=timedelta(days=settings.undo_days), history=timedelta(days=settings.history_days))
    return Promoter(database=database, gate=gate, dbt_dir=DBT_DIR, clock=utc_now, parsed_dir=parsed_dir, keeper=keeper)


class _PassesNobody:
    """The gate of what judges nothing: undoing must not wait for a file of thresholds to be mended."""

    fingerprint = ""

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:  # noqa: ARG002
        from pipeline.core.verdicts import Report

        return Report(verdicts={})


def build_undoer(database: Database) -> Promoter:
    """What discards and rolls back; it cannot promote."""
    from pipeline.promote.promoter import Promoter

    return Promoter(database=database, gate=_PassesNobody(), dbt_dir=DBT_DIR, clock=utc_now)


def run(
    tenant: Annotated[
        list[str] | None, typer.Option(metavar="TENANT", help="Only this tenant; repeat it for more. Without it, all.")
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild the marts from all raw data, not from what is new.")
    ] = False,
    request: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="What it is asked for, once for all: the same key promotes once."),
    ] = None,
    until: Annotated[
        Step, typer.Option(help="With --request: bring its promotion so far, and leave it there.")
    ] = Step.PUBLISH,
    as_json: JsonFlag = False,
) -> None:
    """Promote what arrived: build candidates, check them, publish what passes.

    Every tenant is judged for itself. One whose data fails is held: its marts
    stay as they were, its events stay pending and are tried again by the next
    promotion once something about them changes. Readers see all marts change in
    one moment, or none.

    A scheduler names what it asks for: --request KEY. Asked again by the same
    key, after a retry or twice by mistake, it tells what came of it and promotes
    nothing. With --until it goes step by step, each in a process of its own: the
    next call takes the promotion up where it rests, or begins anew if it failed,
    or another came between. Nothing is published that was not checked as it is.

    Exit codes: 0 published, as far as asked, or nothing new; 3 the same, but
    tenants are held; 4 the checks could not judge (everybody is held); 1 failed
    and 75 failed but worth another try (nothing changed).

    Examples:
      workbench promote
      workbench promote --tenant acme --tenant initech
      workbench promote --full-refresh --json
      workbench promote --request 2026-03-02T10:00Z --until check

    Next: `workbench status` for the whole picture, `workbench sql` to read.
    """
    _require_key(request, until)
    settings = read_settings()
    with observed_briefly(settings, "promote"), open_database(settings) as database, errors.status("Promoting"):
        promoter = build_promoter(database, settings, parsed_dir=settings.home / PARSED)
        with delivering_afterwards(database, settings):
            promotion = promoter.promote(
                tenants=tenant or None,
                full_refresh=full_refresh,
                asked_by=actor(),
                key=request,
                until=_state(until),
                progress=note,
            )
    if as_json:
        print_json(msgspec.structs.asdict(promotion) | {"report_url": report_url(settings, promotion)})
    else:
        print_promotion(promotion)
        if promotion.state in UNFINISHED:
            note(f"It waits for `workbench promote --request {shlex.quote(request or '')}`.")
    raise typer.Exit(exit_code(promotion))


def exit_code(promotion: Promotion) -> int:
    """How a command that promoted ends."""
    if any(hold.state == "errored" for hold in promotion.held.values()):
        return NOT_JUDGED
    return TENANTS_HELD if promotion.held else 0


def report_url(settings: Settings, promotion: Promotion) -> str | None:
    """Where stewards read what it checked, if it checked anything and the notebooks' address is known."""
    if settings.notebooks.public_url is None or promotion.state == "built" or not promotion.taken_up:
        return None
    return f"{settings.notebooks.public_url.rstrip('/')}/notebooks/quality/?promotion={promotion.id}"


def _require_key(key: str | None, until: Step) -> None:
    if key is None and until is not Step.PUBLISH:
        raise typer.BadParameter("it needs a key, by which it can be taken up again", param_hint="--request")
    if key is not None and not (key.isprintable() and 0 < len(key) <= LONGEST_KEY):
        raise typer.BadParameter(f"a key has 1 to {LONGEST_KEY} printable characters", param_hint="--request")


def _state(step: Step) -> PromotionState:
    from pipeline.promote.promotion import PromotionState

    states = {Step.BUILD: PromotionState.BUILT, Step.CHECK: PromotionState.JUDGED}
    return states.get(step, PromotionState.PUBLISHED)


def print_promotion(promotion: Promotion) -> None:
    """A promotion for people: what is in the marts now, what is held back and why."""
    say(_headline(promotion))
    if promotion.promoted:
        heaviest = sorted(promotion.promoted.items(), key=lambda item: (-item[1], item[0]))
        print_rows([{"tenant": name, "events": rows} for name, rows in heaviest[:MOST_SHOWN]], title="Promoted")
        if len(heaviest) > MOST_SHOWN:
            say(f"... and {len(heaviest) - MOST_SHOWN:,} more: --json lists them all.")
    marts = [
        {"mart": mart, "rows written": written, "rows deleted": promotion.rows_deleted.get(mart, 0)}
        for mart, written in promotion.rows_written.items()
    ]
    if marts:
        print_rows(marts, title="Marts")
    if promotion.held:
        print_rows([row for name, hold in promotion.held.items() for row in _reasons(name, hold)], title="Held")
        note("Held tenants keep their last good marts. Next: `workbench holds show TENANT`.")
    if promotion.waiting:
        still = ", ".join(promotion.waiting[:MOST_REASONS]) + (", ..." if len(promotion.waiting) > MOST_REASONS else "")
        note(f"Still held, and unchanged: {count(len(promotion.waiting), 'tenant')} ({still}); `workbench holds list`.")
    for warning in promotion.warnings:
        note(f"Warning: {warning}")


def _headline(promotion: Promotion) -> str:
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in promotion.seconds.items())
    if promotion.state in UNFINISHED:
        return (
            f"Promotion {promotion.id} {promotion.state}, nothing is published yet: "
            f"{count(sum(promotion.taken_up.values()), 'event')} of {count(len(promotion.taken_up), 'tenant')}, "
            f"{count(len(promotion.held), 'tenant')} to be held ({steps})."
        )
    if not promotion.promoted and not promotion.held and promotion.state != "rolled_back":
        return f"Promotion {promotion.id}: nothing new to promote."
    return (
        f"Promotion {promotion.id} {promotion.state}, as of {text(promotion.as_of)}: "
        f"{count(sum(promotion.promoted.values()), 'event')} of {count(len(promotion.promoted), 'tenant')} promoted, "
        f"{count(len(promotion.held), 'tenant')} held ({steps})."
    )


def _reasons(tenant_id: str, hold: Hold) -> Iterator[Row]:
    """A line for each of the heaviest rules that hold the tenant, or for the verdict alone."""
    stops = [finding for finding in hold.findings if finding.severity == "stop" or finding.outcome == "errored"]
    heaviest = sorted(stops, key=lambda finding: -finding.failing_rows)[:MOST_REASONS]
    row = {"tenant": tenant_id, "verdict": hold.state.value, "events": hold.raw_rows}
    if not heaviest:
        yield row | {"rule": "", "failing rows": None, "why": WITHOUT_FINDING.get(hold.state.value, "")}
    for finding in heaviest:
        rule = f"{finding.boundary}: {finding.rule}"
        yield row | {"rule": rule, "failing rows": finding.failing_rows, "why": finding.detail}
