"""One decision of a steward who is signed in at the notebook server: `workbench holds ...` in that person's name.

Reads what is decided, and by whom, from standard input. It believes the server who is signed in, and asks the
database whether that person may decide, and whether the hold is still the one that was looked at.
"""

from __future__ import annotations

import sys

import msgspec
import typer

from pipeline.core.database import Database, ServiceRole
from pipeline.core.errors import HoldError, WorkbenchError
from workbench.cli.actor import acting_for
from workbench.cli.app import FAILED, app
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import print_error
from workbench.stewards.decision import Request
from workbench.stewards.errors import DecisionError, StewardRefused
from workbench.stewards.process import Acting
from workbench.stewardship import read_hold

MAY_DECIDE = """
select exists (
    select from control.users where email = %s and status = 'active' and role in ('steward', 'admin')
)
"""


def main() -> None:
    """Carry out the decision on standard input, and end as the command does."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Acting)
    try:
        with open_database(read_settings()) as database:
            require_steward(database, asked.actor)
            require_as_seen(database, asked.request)
    except WorkbenchError as error:
        print_error(error)
        raise SystemExit(FAILED) from error
    with acting_for(asked.actor):
        typer.main.get_command(app)(words(asked.request))


def require_steward(database: Database, email: str) -> None:
    """Raise StewardRefused unless this person may decide, as of now."""
    with database.connect(ServiceRole.NOTEBOOKS, application="workbench_stewards") as connection:
        if connection.execute(MAY_DECIDE, (email,)).fetchone() != (True,):
            raise StewardRefused(f"{email} may not decide about held tenants.", remedy="Ask an administrator.")


def require_as_seen(database: Database, request: Request) -> None:
    """Raise DecisionError unless the hold is as it was looked at: a steward decides about what they saw."""
    try:
        hold = read_hold(database, request.tenant_id).hold
    except HoldError as error:
        raise DecisionError(
            f"{request.tenant_id} is not held any more: it passed, or somebody has decided.",
            remedy="Look again: what was done stands in the list of promotions.",
        ) from error
    if (hold.hold_id, hold.promotion_id) != (request.hold_id, request.promotion_id):
        raise DecisionError(
            f"{request.tenant_id} was judged again meanwhile, by promotion {hold.promotion_id}: nothing was decided.",
            remedy="Look again at why it is held, and decide about that.",
        )


def words(request: Request) -> list[str]:
    """The request as the command line takes it."""
    # Of what people typed nothing can be taken for an option.
    options = [f"--reason={request.reason}", "--json", *(["--yes"] if request.action == "discard" else [])]
    return ["holds", request.action, *options, "--", request.tenant_id]


if __name__ == "__main__":
    main()
