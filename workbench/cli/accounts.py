"""An import's account, for people and for programs."""

from __future__ import annotations

from msgspec.structs import asdict

from workbench.cli.output import count, note, print_rows, say
from workbench.importing.account import Account, LineOutcome, Tally

TENANTS_SHOWN = 50
NO_TENANT = "(no tenant)"


def document(account: Account, seconds: float) -> dict[str, object]:
    """The account as one JSON document."""
    return {
        "seconds": round(seconds, 3),
        "total": account.total(),
        "tenants": [{"tenant_id": name} | asdict(tally) for name, tally in account.tenants().items()],
        "first_bad_lines": account.bad_lines,
        "ids_given": account.ids_given,
    }


def print_account(account: Account, seconds: float) -> None:
    """The tally per tenant, the first bad lines, and what to know of them."""
    tenants = account.tenants()
    heaviest = sorted(tenants.items(), key=lambda item: (item[0] is None, -item[1].lines, item[0]))
    print_rows(
        [{"tenant": NO_TENANT if name is None else name} | asdict(t) for name, t in heaviest[:TENANTS_SHOWN]],
        empty="There was no line to send.",
    )
    if len(heaviest) > TENANTS_SHOWN:
        say(f"... and {len(heaviest) - TENANTS_SHOWN:,} tenants more: --json lists them all.")
    if account.bad_lines:
        print_rows([asdict(line) for line in account.bad_lines], title="Not taken: the first lines, and why")
    say(sentence(account.total(), seconds))
    if account.ids_given:
        note(
            f"{count(account.ids_given, 'line')} came without event_id and got one for this import: "
            "importing them again would store them again."
        )


def sentence(total: Tally, seconds: float) -> str:
    """The whole tally in a line; what did not happen is not mentioned, but for duplicates."""
    parts = [f"{total.accepted:,} accepted", f"{total.duplicate:,} duplicate"]
    others = [*(o.value for o in LineOutcome if o not in ("accepted", "duplicate")), "unanswered"]
    parts += [f"{getattr(total, name):,} {name}" for name in others if getattr(total, name)]
    rate = total.lines / seconds if seconds else 0
    return f"{count(total.lines, 'line')} in {seconds:.1f} s ({rate:,.0f}/s): {', '.join(parts)}."
