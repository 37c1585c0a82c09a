"""`workbench sql`: one reading statement, as a tenant's own login role."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from workbench.cli.context import open_database, read_settings
from workbench.cli.output import JsonFlag, count, note, print_json, print_table, say

if TYPE_CHECKING:
    from workbench.tenant_query import Answer

STANDARD_INPUT = "-"
NUMBERS = frozenset({"int2", "int4", "int8", "oid", "float4", "float8", "numeric"})
TYPED = NUMBERS | {"bool", "json", "jsonb"}


def register(app: typer.Typer) -> None:
    """Add the `sql` command."""
    app.command("sql")(run)


def run(
    statement: Annotated[
        str, typer.Argument(help="A SELECT, WITH, VALUES or TABLE statement; - reads standard input.")
    ],
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="The tenant that asks.")],
    limit: Annotated[int, typer.Option(min=1, metavar="ROWS", help="Rows to answer at the most.")] = 1000,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Seconds until the statement is ended.")
    ] = 30.0,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with a header line.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run SQL as a tenant, and see exactly what that tenant sees.

    It logs in as the tenant's own role, in a read-only transaction, and the
    database decides what is visible: the views of schema analytics, such as
    fct_usage_events, dim_users or tenant_usage_metrics, with this tenant's rows.
    One statement that reads; EXPLAIN is refused, since its counts tell of other
    tenants' rows.

    Examples:
      workbench sql --tenant acme "table feature_adoption"
      workbench sql --tenant acme "select * from dim_users" --limit 20 --json
      workbench sql --tenant acme - --csv < question.sql

    Next: `workbench db url --tenant acme` gives the address for other tools.
    """
    if as_csv and as_json:
        raise typer.BadParameter("choose one of --csv and --json")
    from pipeline.core.tenants import tenant_url
    from workbench.tenant_query import ask

    asked = sys.stdin.read() if statement == STANDARD_INPUT else statement
    with open_database(read_settings()) as database:
        answer = ask(tenant_url(database, tenant), asked, most_rows=limit, timeout_seconds=timeout)
    if as_json:
        print_json(_document(answer))
    elif as_csv:
        _print_csv(answer)
    else:
        numbers = [number for number, column in enumerate(answer.columns) if column.type in NUMBERS]
        print_table([column.name for column in answer.columns], answer.rows, right=numbers)
        say(count(len(answer.rows), "row"))
    if answer.truncated:
        note(f"These are the first {limit:,} rows, there are more: --limit sets how many are answered.")


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(column.name for column in answer.columns)
    writer.writerows(answer.rows)


def _document(answer: Answer) -> dict[str, object]:
    """Numbers, truth values and JSON as such, every other value as PostgreSQL writes it."""
    types = [column.type for column in answer.columns]
    return {
        "columns": [column.name for column in answer.columns],
        "rows": [[_typed(value, kind) for value, kind in zip(row, types, strict=True)] for row in answer.rows],
        "truncated": answer.truncated,
    }


def _typed(value: str | None, kind: str) -> object:
    if value is None or kind not in TYPED:
        return value
    if kind == "bool":
        return value == "t"
    # As it is written, without a detour through a float; NaN and infinity are no JSON.
    return value if value.lstrip("-") in ("NaN", "Infinity") else msgspec.Raw(value.encode())
