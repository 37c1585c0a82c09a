"""`workbench deadletters`: what was accepted and could not be stored, and storing it after a repair."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from msgspec.structs import asdict

from workbench.cli.actor import actor
from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, console, count, note, print_json, print_rows, say, text, visible
from workbench.cli.progress import progress_bar

if TYPE_CHECKING:
    from pipeline.core.database import Database
    from pipeline.land.replaying import Replayed, Selection
    from workbench.letters import Letter, Remaining

SHORT = 60
STILL_OPEN = 1

commands = typer.Typer(no_args_is_help=True, help="List, show and replay events that could not be stored.")


class ReasonName(StrEnum):
    """Why an event was not stored; a test compares it with the reasons that landing knows."""

    CONFLICT = "conflict"
    UNKNOWN_TENANT = "unknown_tenant"
    REFUSED_BY_DATABASE = "refused_by_database"
    UNDECODABLE = "undecodable"


TenantOption = Annotated[str | None, typer.Option(metavar="TENANT", help="Only this tenant's.")]
ReasonOption = Annotated[ReasonName | None, typer.Option(help="Only those with this reason.")]


def register(app: typer.Typer) -> None:
    """Add the `deadletters` commands."""
    app.add_typer(commands, name="deadletters")


@commands.command("list")
def show_all(
    tenant: TenantOption = None,
    reason: ReasonOption = None,
    resolved: Annotated[bool, typer.Option("--all", help="Those too that a replay has stored since.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest, so many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the dead letters that are open, the newest first.

    A dead letter is an event that was accepted and could not be stored. It is
    kept with the reason and the bytes as they were sent:

      conflict             its event_id is taken by an event with another payload
      unknown_tenant       there is no tenant of its id (yet)
      refused_by_database  PostgreSQL refused it
      undecodable          the record in Kafka holds no event of ours

    Examples:
      workbench deadletters list
      workbench deadletters list --tenant acme --reason unknown_tenant --json

    Next: `workbench deadletters show ID`, and after a repair `workbench
    deadletters replay`.
    """
    from workbench.letters import list_letters

    with open_database(read_settings()) as database:
        letters, total = list_letters(database, tenant_id=tenant, reason=reason, resolved=resolved, limit=limit)
    if as_json:
        print_json({"total": total, "letters": letters})
        return
    print_rows([_row(letter) for letter in letters], empty="There are no dead letters.")
    if total > len(letters):
        say(f"... and {total - len(letters):,} more: --limit shows more of them.")


@commands.command("show")
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id, as the list shows it.")],
    as_json: JsonFlag = False,
) -> None:
    """Show everything of one dead letter, with the bytes as they were sent.

    Bytes that are no text are shown as a hex dump. With Kafka it tells the
    record too that it came in: topic, partition and offset.

    Example:
      workbench deadletters show 018f3c1e-7b3a-7c55-9d7e-2f60c1a4be10

    Next: `workbench deadletters replay ID` once its cause is mended.
    """
    from workbench.letters import find_letter, hex_dump, readable

    wanted = _id(letter_id)
    with open_database(read_settings()) as database:
        letter, original = find_letter(database, wanted)
    sent = readable(original)
    if as_json:
        print_json(asdict(letter) | {"original": sent, "original_hex": original.hex()})
        return
    for name, value in asdict(letter).items():
        say(f"{name:<16} {text(value)}")
    say(f"{'original':<16} {count(len(original), 'byte')}")
    console.print(visible(hex_dump(original) if sent is None else sent), markup=False, highlight=False, soft_wrap=True)


@commands.command("replay")
def replay(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Only these; without any, all that are open.")
    ] = None,
    tenant: TenantOption = None,
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even where all of them are meant.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Try again to store dead letters, after their cause was mended.

    Each is stored once, however often this is called and whoever calls it at the
    same time; what still cannot be stored stays open, with the newest reason.
    Every replay is written to the audit log, with who did it.

    Examples:
      workbench deadletters replay --tenant acme --reason unknown_tenant
      workbench deadletters replay 018f3c1e-7b3a-7c55-9d7e-2f60c1a4be10
      workbench deadletters replay --yes

    Next: `workbench promote` publishes what was stored.
    """
    from pipeline.land.dead_letters import Reason
    from pipeline.land.replaying import Replayed, Selection
    from workbench.letters import count_open, remaining

    ids = [_id(letter) for letter in letters or ()]
    selection = Selection(tenant_id=tenant, reason=None if reason is None else Reason(reason), letters=ids or None)
    with open_database(read_settings()) as database:
        waiting = count_open(database, selection)
        if waiting and not (yes or as_json or letters or tenant or reason):
            typer.confirm(f"Replay all {count(waiting, 'open dead letter')}?", abort=True, err=True)
        replayed = _replay(database, selection, waiting) if waiting else Replayed()
        left = remaining(database, selection) if replayed.remaining else []
    if as_json:
        print_json(asdict(replayed) | {"remaining": replayed.remaining, "reasons": left})
    else:
        _print(replayed, left)


def _replay(database: Database, selection: Selection, waiting: int) -> Replayed:
    from pipeline.core.database import ServiceRole
    from pipeline.land.replaying import LetterReplayer, Replayed

    done = Replayed()
    replayer = LetterReplayer(
        lambda: database.connect(ServiceRole.LANDER, application="workbench_replay"), limits=read_settings().limits
    )
    try:
        with progress_bar(
            "Replaying", total=waiting, position=lambda: done.tried, events=lambda: done.stored
        ) as advance:

            def tell(so_far: Replayed) -> None:
                nonlocal done
                done = so_far
                advance()

            return replayer.replay(selection, actor=actor(), progress=tell)
    finally:
        replayer.close()


def _print(replayed: Replayed, left: list[Remaining]) -> None:
    if not replayed.tried:
        say("No dead letter of this choice is open.")
        return
    say(
        f"{count(replayed.tried, 'dead letter')} tried: {replayed.stored:,} stored, {replayed.duplicate:,} duplicate, "
        f"{replayed.remaining:,} remain."
    )
    if left:
        print_rows([asdict(each) for each in left], title="Why the rest remains")
    if replayed.stored:
        note("Next: workbench promote")


def _id(letter: str) -> UUID:
    try:
        return UUID(letter)
    except ValueError as error:
        raise typer.BadParameter(f"{letter} is no dead letter's id, which is a UUID", param_hint="ID") from error


def _row(letter: Letter) -> dict[str, object]:
    at = "" if letter.topic is None else f"{letter.topic}/{letter.partition}/{letter.record_offset}"
    detail = letter.detail if len(letter.detail) <= SHORT else f"{letter.detail[: SHORT - 1]}…"
    row: dict[str, object] = {
        "id": letter.dead_letter_id,
        "tenant": letter.tenant_id,
        "reason": letter.reason,
        "detail": detail,
        "received_at": letter.received_at,
        "record": at,
        "replays": letter.replays,
    }
    return row | ({"resolution": letter.resolution} if letter.resolution else {"resolution": "open"})
