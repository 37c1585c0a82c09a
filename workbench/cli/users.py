"""`workbench users`: the people who may sign in to the notebooks, what they may see, and their sessions."""

from __future__ import annotations

import sys
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.actor import actor
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, Row, count, note, print_json, print_rows, say

if TYPE_CHECKING:
    from pipeline.core.models import User

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's e-mail address, in upper or lower case.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]
OidcOnly = Annotated[bool, typer.Option("--oidc-only", help="No password: the user signs in with OIDC alone.")]

commands = typer.Typer(no_args_is_help=True, help="Add, list and change users of the notebooks; end their sessions.")


class Role(StrEnum):
    """What a user may see."""

    ANALYST = "analyst"
    STEWARD = "steward"
    ADMIN = "admin"


def register(app: typer.Typer) -> None:
    """Add the `users` commands."""
    app.add_typer(commands, name="users")


@commands.command("add")
def add(
    email: Email,
    role: Annotated[
        Role,
        typer.Option(help="analyst: one tenant's data; steward: the quality of all tenants' data; admin: all of it."),
    ],
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="An analyst's tenant.")] = None,
    password_stdin: PasswordStdin = False,
    oidc_only: OidcOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """Add somebody who may sign in to the notebooks.

    The password is asked for twice, unless it comes from standard input. It has
    12 characters or more and is none of those that are guessed first. Only its
    Argon2 hash is kept.

    Examples:
      workbench users add jane@acme.com --role analyst --tenant acme
      workbench users add sam@example.com --role steward --password-stdin < file
      workbench users add ada@example.com --role admin --oidc-only

    Next: `workbench notebooks` serves the page on which they sign in.
    """
    password = _password(password_stdin, oidc_only)
    from workbench.people.register import add_user

    with open_database(read_settings()) as database:
        user = add_user(database, email, role=role.value, tenant_id=tenant, password=password, actor=actor())
    if as_json:
        print_json(_row(user))
        return
    say(f"User {user.email} is added: {_standing(user)}.")
    note("Next: workbench notebooks")


@commands.command("list")
def show(
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant's analysts.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the users, with what they sign in with and when they last did.

    Examples:
      workbench users list
      workbench users list --tenant acme --json
    """
    from workbench.people.register import list_users

    with open_database(read_settings()) as database:
        rows = [_row(user) for user in list_users(database, tenant)]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="There are no users yet: workbench users add EMAIL.")


@commands.command("set")
def change(
    email: Email,
    role: Annotated[
        Role | None, typer.Option(help="The new role; whoever is no analyst any more has no tenant.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(metavar="TENANT", help="An analyst's new tenant.")] = None,
    disable: Annotated[bool, typer.Option("--disable", help="Let the user sign in no more.")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="Let a disabled user sign in again.")] = False,
    forget_identity: Annotated[
        bool, typer.Option("--forget-identity", help="Let the next sign-in with OIDC link another identity.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Change a user's role or tenant, or disable and enable the user.

    Every change ends the user's sessions. Users are disabled rather than
    removed, so that the audit log keeps speaking of somebody.

    Examples:
      workbench users set jane@acme.com --tenant globex
      workbench users set sam@example.com --role admin
      workbench users set jane@acme.com --disable

    Next: `workbench users list` shows everybody as they are now.
    """
    if enable and disable:
        raise typer.BadParameter("choose one of --enable and --disable")
    if role is None and tenant is None and not (enable or disable or forget_identity):
        raise typer.BadParameter("say what to change: --role, --tenant, --enable, --disable or --forget-identity")
    from workbench.people.register import set_user

    status = "active" if enable else "disabled" if disable else None
    with open_database(read_settings()) as database:
        user = set_user(
            database,
            email,
            role=None if role is None else role.value,
            tenant_id=tenant,
            status=status,
            forget_identity=forget_identity,
            actor=actor(),
        )
    if as_json:
        print_json(_row(user))
    else:
        say(f"User {user.email}: {_standing(user)}.")


@commands.command("password")
def password(email: Email, password_stdin: PasswordStdin = False, oidc_only: OidcOnly = False) -> None:
    """Give a user another password, or none.

    It ends the user's sessions, and lets who was refused for too many failed
    sign-ins try again at once.

    Examples:
      workbench users password jane@acme.com
      workbench users password jane@acme.com --oidc-only
    """
    wanted = _password(password_stdin, oidc_only)
    from workbench.people.register import set_password

    with open_database(read_settings()) as database:
        set_password(database, email, wanted, actor=actor())
    say(f"User {email} signs in with OIDC alone." if wanted is None else f"User {email} has another password.")


@commands.command("sessions")
def sessions(
    email: Annotated[str | None, typer.Argument(metavar="[EMAIL]", help="Only this user's.")] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="SESSIONS", help="Sessions to list at the most.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List sign-in sessions, the newest first, and whether they are open.

    Examples:
      workbench users sessions
      workbench users sessions jane@acme.com --json

    Next: `workbench users sign-out EMAIL` ends a user's sessions.
    """
    from msgspec.structs import asdict

    from workbench.people.register import list_sessions
    from workbench.people.sessions import SessionLimits

    settings = read_settings()
    limits = SessionLimits.lasting(timedelta(hours=settings.notebooks.session_hours))
    with open_database(settings) as database:
        rows = [asdict(session) for session in list_sessions(database, email, most=limit, limits=limits)]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, empty="Nobody has signed in yet.")


@commands.command("sign-out")
def sign_out(email: Email) -> None:
    """End all sessions of a user, who may sign in again.

    Example:
      workbench users sign-out jane@acme.com

    Next: `workbench users set EMAIL --disable` keeps the user out.
    """
    from workbench.people.register import sign_out_user

    with open_database(read_settings()) as database:
        closed = sign_out_user(database, email, actor=actor())
    say(f"User {email} is signed out of {count(closed, 'session')}.")


def _password(from_input: bool, oidc_only: bool) -> str | None:
    if from_input and oidc_only:
        raise typer.BadParameter("choose one of --password-stdin and --oidc-only")
    if oidc_only:
        return None
    if from_input:
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again", err=True)
    return asked


def _standing(user: User) -> str:
    entry = {"analyst": f"analyst of tenant {user.tenant_id}"}.get(user.role, user.role)
    return entry if user.status == "active" else f"{entry}, disabled"


def _row(user: User) -> Row:
    by_password = user.password_hash is not None
    ways = ["password"] * by_password + ["OIDC"] * (user.oidc_subject is not None or not by_password)
    return {
        "email": user.email,
        "role": user.role,
        "tenant_id": user.tenant_id,
        "status": user.status,
        "signs_in_with": ways,
        "created_at": user.created_at,
        "last_sign_in_at": user.last_sign_in_at,
    }
