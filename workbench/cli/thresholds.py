"""`workbench thresholds`: whether a file that tunes the quality rules is fit for use, and what it may say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.output import JsonFlag, Row, count, note, print_json, print_rows, say

if TYPE_CHECKING:
    from checks.tunable import Thresholds, Values

EVERYBODY = "every other tenant"

commands = typer.Typer(no_args_is_help=True, help="Check a file that tunes the quality rules.")


def register(app: typer.Typer) -> None:
    """Add the `thresholds` commands."""
    app.add_typer(commands, name="thresholds")


@commands.command("check")
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML, as WORKBENCH_THRESHOLDS_FILE names it.")],
    as_json: JsonFlag = False,
) -> None:
    """Check a thresholds file, and show what it changes.

    A file is in effect as a whole or not at all: for what is wrong in it, the
    line, the column and the remedy are told. Promotions refuse such a file, too,
    and nothing is promoted until it is set right. It needs no database, and does
    not know which tenants there are.

    Exit codes: 0 fit for use, 1 refused.

    Examples:
      workbench thresholds check examples/thresholds.yml
      workbench thresholds check examples/thresholds.yml --json

    Next: set WORKBENCH_THRESHOLDS_FILE to it; promotions read it when their
    process starts. Whom it held, `workbench holds rerun TENANT` judges again.
    """
    from checks.thresholds import VERSION, load

    thresholds = load(file)
    if as_json:
        print_json(
            {"file": file, "version": VERSION, "defaults": thresholds.defaults, "tenants": thresholds.tenants},
        )
        return
    rows = list(_rows(thresholds))
    print_rows(rows, empty="It changes nothing: every rule is as declared.")
    note(f"{file} is fit for use: {count(len(rows), 'value')}, {count(len(thresholds.tenants), 'tenant')} by name.")


@commands.command("schema")
def schema() -> None:
    """Print the JSON Schema of thresholds files, for editors.

    It has every rule that can be tuned, with its parameters, their ranges, and
    what they are unless they are tuned.

    Example:
      workbench thresholds schema > thresholds.schema.json

    Next: `# yaml-language-server: $schema=thresholds.schema.json` as the first
    line of a thresholds file lets many editors complete and check it.
    """
    import json

    from checks.thresholds import json_schema

    say(json.dumps(json_schema(), indent=2))


def _rows(thresholds: Thresholds) -> Iterator[Row]:
    """A line for each value, those for everybody first."""
    yield from _values(EVERYBODY, thresholds.defaults)
    for tenant, rules in sorted(thresholds.tenants.items()):
        yield from _values(tenant, rules)


def _values(tenant: str, rules: Mapping[str, Values]) -> Iterator[Row]:
    from checks.suites import TUNABLE
    from checks.tunable import SEVERITY

    for tunable in TUNABLE:
        declared = {parameter.name: (parameter.default, parameter.unit) for parameter in tunable.parameters}
        declared[SEVERITY] = (tunable.severity, "")  # type: ignore[assignment]  # a word, not a number
        for name, value in rules.get(tunable.rule, {}).items():
            default, unit = declared[name]
            yield {
                "tenant": tenant,
                "rule": tunable.rule,
                "parameter": name,
                "is": f"{value}",
                "instead of": f"{default}",
                "unit": unit,
            }
