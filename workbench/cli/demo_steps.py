"""The steps of the demo, each told in a line or two: send, promote, report, and live events."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from random import Random

import msgspec
from rich.markup import escape
from uuid_utils.compat import uuid7

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import PromotionRunning, WorkbenchError
from pipeline.core.settings import Settings
from pipeline.promote.promoter import Promoter
from pipeline.promote.promotion import Promotion
from workbench.cli.accounts import print_account, sentence
from workbench.cli.output import count, errors, note, print_rows, say
from workbench.cli.progress import progress_bar
from workbench.cli.promote import PARSED, build_promoter
from workbench.cli.streaming import stream_counter
from workbench.demonstration import (
    Dataset,
    add_dirty_tenant,
    contradictions,
    find_events,
    with_dirty_tenant,
)
from workbench.importing.account import Account
from workbench.importing.keys import temporary_keys
from workbench.importing.lines import AnyLine, read_lines
from workbench.importing.live import send_live
from workbench.importing.transfer import Pace, transfer
from workbench.overview import Overview, read_overview
from workbench.people.principal import Role
from workbench.people.register import add_user, list_users, set_password, set_user
from workbench.synthetic import Population, live

TENANT_FIELD = "tenant_id"
DEMO = "workbench demo"
LIVE_EVENTS_PER_SECOND = 20
PROMOTION_WAIT_SECONDS = 300
LANDING_WAIT_SECONDS = 120
SECONDS_BETWEEN_LOOKS = 0.2
TENANTS_SHOWN = 40


class DemoError(WorkbenchError):
    """Something that the demo was to show does not hold."""


def invite(database: Database, url: str, tenant_id: str) -> None:
    """Let an analyst of the tenant and a steward sign in to the notebooks, with a password of this run."""
    password = secrets.token_urlsafe(12)
    people: dict[str, tuple[Role, str | None]] = {
        "analyst@example.com": ("analyst", tenant_id),
        "steward@example.com": ("steward", None),
    }
    known = {user.email for user in list_users(database)}
    for email, (role, tenant) in people.items():
        if email in known:
            set_user(database, email, role=role, tenant_id=tenant, actor=DEMO)
            set_password(database, email, password, actor=DEMO)
        else:
            add_user(database, email, role=role, tenant_id=tenant, password=password, actor=DEMO)
    say(f"Notebooks: sign in at {url} with the password {password}")
    say(f"  analyst@example.com   sees {tenant_id}")
    say("  steward@example.com   sees the quality of all tenants")


def show(database: Database, url: str, settings: Settings, data: Dataset) -> None:
    """The data's whole way, and the dirty tenant's. Raises DemoError where the promise does not hold."""
    data = with_dirty_tenant(data, add_dirty_tenant(database))
    send(database, url, data)
    wait_until_landed(database, settings)
    promote_now(database, settings)
    report(database, data)


def send(database: Database, url: str, dataset: Dataset) -> None:
    """Send everything over HTTP. Raises DemoError if a line is not taken that should be."""
    started = time.monotonic()
    account = Account()
    with (
        temporary_keys(database, create_tenants=True) as keys,
        progress_bar(
            dataset.title,
            total=sum(dataset.sent.values()),
            position=account.settled,
            events=account.settled,
        ) as advance,
    ):
        lines = _lines(dataset.lines)
        transfer(lines, url=url, keys=keys, account=account, pace=Pace(), advance=advance)
    total = account.total()
    say(f"Sent over HTTP: {sentence(total, time.monotonic() - started)}")
    refused = total.bad - total.invalid * dataset.some_invalid
    if refused:
        print_account(account, time.monotonic() - started)
        raise DemoError(f"{count(refused, 'line')} of the demo's own data were not taken.")


def wait_until_landed(database: Database, settings: Settings) -> None:
    """With Kafka in between, wait for its consumers. Raises DemoError where they take too long."""
    with stream_counter(settings) as stream:
        deadline = time.monotonic() + LANDING_WAIT_SECONDS
        while stream is not None and (in_flight := read_overview(database, stream=stream).total.in_flight) != 0:
            if time.monotonic() > deadline:
                told = "an unknown number of" if in_flight is None else f"{in_flight:,}"
                raise DemoError(
                    f"After {LANDING_WAIT_SECONDS} s {told} events are still in flight.",
                    remedy="Does `workbench consume` run? Its log says what it waits for.",
                )
            time.sleep(SECONDS_BETWEEN_LOOKS)


def promote_now(database: Database, settings: Settings) -> None:
    """Promote everything that waits; another promotion is waited for."""
    with errors.status("Promoting") as spinner:

        def tell(step: str) -> None:
            spinner.update(escape(step))

        promotion = _promote(build_promoter(database, settings, parsed_dir=settings.home / PARSED), tell)
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in promotion.seconds.items())
    events = sum(promotion.promoted.values())
    held = count(len(promotion.held), "tenant")
    say(f"Promotion {promotion.id}: {count(events, 'event')} published, {held} held ({steps}).")


def report(database: Database, dataset: Dataset) -> None:
    """Show where every event is now. Raises DemoError if that is not what was promised."""
    with database.connect(ServiceRole.STEWARD, application="workbench_demo") as connection:
        found = find_events(connection, dataset.sent)
    overview = read_overview(database)
    held = {tenant.tenant_id: tenant.held for tenant in overview.tenants if tenant.held}
    shown = sorted(found, key=lambda tenant: (tenant.tenant_id not in held, -tenant.stored))[:TENANTS_SHOWN]
    print_rows(
        [
            {
                "tenant": tenant.tenant_id,
                "acknowledged": dataset.sent[tenant.tenant_id],
                "in the marts": tenant.in_marts,
                "held": tenant.pending,
                "why": _why(overview, tenant.tenant_id) if tenant.tenant_id in held else "",
            }
            for tenant in shown
        ]
    )
    if len(found) > len(shown):
        say(f"... and {len(found) - len(shown):,} smaller tenants.")
    wrong = contradictions(found, dataset.sent, held)
    if wrong:
        raise DemoError(
            "This does not hold:\n" + "\n".join(f"  {line}." for line in wrong),
            remedy="`workbench status` and the stack's logs tell more.",
        )
    say(
        f"All of it holds: {sum(dataset.sent.values()):,} events were acknowledged; "
        f"{sum(tenant.in_marts for tenant in found):,} are in the marts, "
        f"{sum(tenant.pending for tenant in found):,} are held, and none is lost or counted twice."
    )


def send_live_events(database: Database, url: str, population: Population) -> None:
    """Send made-up events of this moment, until interrupted."""
    account = Account()
    events = map(msgspec.json.encode, live(population, Random(), utc_now))
    with temporary_keys(database, create_tenants=True) as keys, errors.status("Sending") as spinner:

        def tell() -> None:
            spinner.update(f"{account.settled():,} live events sent; Ctrl-C ends.")

        with suppress(KeyboardInterrupt):
            send_live(
                _lines(events),
                url=url,
                keys=keys,
                account=account,
                per_second=LIVE_EVENTS_PER_SECOND,
                advance=tell,
            )
    say(f"{count(account.settled(), 'live event')} sent; the next promotion takes them.")


def _lines(texts: Iterable[bytes]) -> Iterator[AnyLine]:
    return read_lines(texts, tenant_field=TENANT_FIELD, new_id=uuid7)


def _promote(promoter: Promoter, tell: Callable[[str], None]) -> Promotion:
    deadline = time.monotonic() + PROMOTION_WAIT_SECONDS
    while True:
        try:
            return promoter.promote(asked_by="demo", progress=tell)
        except PromotionRunning as running:
            if time.monotonic() > deadline:
                raise
            note(f"{running.message} The demo waits for it.")


def _why(overview: Overview, tenant_id: str) -> str:
    reasons = [reason for reason in overview.reasons if reason.tenant_id == tenant_id]
    return "; ".join(f"{reason.rule}: {reason.detail}" for reason in reasons[:2])
