"""`workbench embeds`: what embed tokens are made with, replacing it, and a token to try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.core.clock import utc_now
from workbench.cli.actor import actor
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, Row, note, print_json, print_rows, say

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.core.settings import Settings
    from workbench.embeds.rotation import GiveMetabase
    from workbench.embeds.standing import SigningKey, Standing

commands = typer.Typer(no_args_is_help=True, help="Embed tokens: a token to try, and rotation of keys.")

PATIENCE_SECONDS = 30
SECRET_SETTING = "embedding-secret-key"
"""What Metabase calls the secret that it verifies tokens with."""


def register(app: typer.Typer) -> None:
    """Add the `embeds` commands."""
    app.add_typer(commands, name="embeds")


@commands.command("status")
def status(as_json: JsonFlag = False) -> None:
    """Show what embed tokens are made with; never a key or a secret itself.

    The signing keys with what each still does (signs, verifies, retired), the
    generation of Metabase's embedding secret, the dashboards that may be
    embedded, and how many tokens were made in the last 24 hours.

    Examples:
      workbench embeds status
      workbench embeds status --json

    Next: `workbench embeds rotate` replaces key and secret.
    """
    from workbench.embeds.standing import read_standing

    with open_database(read_settings()) as database, database.connect_admin() as connection:
        standing = read_standing(connection)
    if as_json:
        print_json(_document(standing))
        return
    print_rows([_key(key) for key in standing.keys], title="Signing keys", empty="There is no signing key.")
    embedded = [{"slug": each.slug, "title": each.title} for each in standing.dashboards if each.embedded]
    print_rows(embedded, title="Dashboards that may be embedded", empty="No dashboard may be embedded yet.")
    say(f"Tokens made in the last 24 hours: {standing.tokens_of_a_day:,}.")
    _tell_of_secret(standing)


@commands.command("rotate")
def rotate(as_json: JsonFlag = False) -> None:
    """Make a new signing key, and give Metabase a new embedding secret.

    Tokens are made with both from now on; no process is started anew. Tenant
    tokens of the old key are good until they expire, 10 minutes at most. Of the
    embedding secret Metabase has one at a time: dashboards that are open ask for
    a new token once (guest embeds by themselves, frames when their page reloads).

    A rotation that was interrupted is brought to its end by running it again.
    Before Metabase is set up there is a signing key alone, for the metrics API.

    Examples:
      workbench embeds rotate
      workbench embeds rotate --json

    Next: `workbench embeds retire`, after 11 minutes.
    """
    from workbench.embeds.rotation import rotate as replace_both

    settings = read_settings()
    with open_database(settings) as database, _metabase(settings, database) as give:
        done = replace_both(database, secret=settings.secret, give=give, actor=actor())
    if as_json:
        print_json(done)
        return
    key = f"The key {done.signing_key} signs." if done.signing_key else "An interrupted rotation came to its end."
    secret = f" Metabase has the secret of generation {done.generation}." if done.generation else ""
    say(key + secret)
    note("Next: workbench embeds retire, after 11 minutes.")


@commands.command("retire")
def retire(
    now: Annotated[bool, typer.Option("--now", help="At once: tokens of the old keys end with them.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """End the old signing keys: what they signed opens nothing any more.

    It refuses while tokens of theirs may be in use, 11 minutes after the rotation
    at most, so that nobody's dashboard goes blank. If a key may be in wrong hands
    do not wait: `rotate`, then `retire --now`. The key that signs is never ended.

    Examples:
      workbench embeds retire
      workbench embeds retire --now

    Next: `workbench embeds status` shows them as retired.
    """
    from workbench.embeds.rotation import retire as end_old

    with open_database(read_settings()) as database:
        ended = end_old(database, actor=actor(), clock=utc_now, at_once=now)
    if as_json:
        print_json({"retired": ended})
    elif ended:
        say(f"Retired: {', '.join(ended)}.")
    else:
        say("There is no old signing key.")


@commands.command("token")
def token(
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Whose figures the token opens.")],
    dashboard: Annotated[str, typer.Option(metavar="SLUG", help="The dashboard, as `embeds status` lists it.")],
    seconds: Annotated[int, typer.Option(min=10, max=600, help="How long it lives.")] = 600,
    as_json: JsonFlag = False,
) -> None:
    """Make an embed token, and print the address that it opens.

    Whoever has the address sees the tenant's dashboard until it expires; it is in
    the audit log under your name. Programs use `POST /v1/embeds` instead.

    Examples:
      workbench embeds token --tenant acme --dashboard usage
      workbench embeds token --tenant acme --dashboard usage --seconds 60 --json

    Next: open it in a browser; docs/embedding.md puts it into a page.
    """
    from api.embeds_desk import address_of
    from api.tokens import TokenBroker, Wish
    from pipeline.core.database import ServiceRole

    settings = read_settings()
    with open_database(settings) as database:
        broker = TokenBroker(
            lambda: database.connect(ServiceRole.API, application="workbench_embeds"),
            secret=settings.secret,
            instance_url=settings.metabase.browser_url,
        )
        made = broker.issue(Wish(tenant_id=tenant, dashboard=dashboard, seconds=seconds, actor=actor()))
    url = address_of(made)
    if as_json:
        print_json({"dashboard": made.dashboard, "token": made.token, "url": url, "expires_at": made.expires_at})
        return
    typer.echo(url)
    note(f"It expires at {made.expires_at:%H:%M:%S} UTC.")


@contextmanager
def _metabase(settings: Settings, database: Database) -> Iterator[GiveMetabase | None]:
    """How Metabase is given a secret; None before it is set up. It is signed in to before anything is changed."""
    from workbench.cli.metabase_site import administrator_of
    from workbench.embeds.standing import read_secret_state
    from workbench.metabase.opening import signed_in

    with database.connect_admin() as connection:
        state = read_secret_state(connection)
    if state is None:
        yield None
        return
    with signed_in(administrator_of(settings), patience_seconds=PATIENCE_SECONDS) as metabase:
        yield lambda secret: metabase.write_setting(SECRET_SETTING, secret)


def _document(standing: Standing) -> dict[str, object]:
    return {
        "secret": standing.secret,
        "keys": [_key(key) for key in standing.keys],
        "dashboards": standing.dashboards,
        "tokens_of_a_day": standing.tokens_of_a_day,
    }


def _key(key: SigningKey) -> Row:
    return {
        "key_id": key.key_id,
        "state": key.state.value,
        "created_at": key.created_at,
        "retired_at": key.retired_at,
    }


def _tell_of_secret(standing: Standing) -> None:
    secret = standing.secret
    if secret is None:
        note("Metabase is not set up. Next: workbench metabase apply")
    elif secret.next_generation is not None:
        note(
            f"Metabase ({secret.site_url}) is being given the secret of generation {secret.next_generation}, and that "
            "has not come to its end. Next: workbench embeds rotate"
        )
    else:
        say(f"Metabase ({secret.site_url}) has the embedding secret of generation {secret.secret_generation}.")
