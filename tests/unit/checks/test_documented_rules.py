"""docs/quality-rules.md lists every rule as it is: a row that is missing there is shown here, to be copied."""

from __future__ import annotations

from pathlib import Path

from checks.suites import SUITES, TUNABLE

ROOT = Path(__file__).parents[3]
DOCUMENTED = (ROOT / "docs" / "quality-rules.md").read_text()


def test_every_rule_is_documented_with_its_severity_and_why() -> None:
    rows = {f"| `{rule.name}` | {rule.severity} | {rule.why} |" for suite in SUITES for rule in suite.rules}
    assert sorted(row for row in rows if row not in DOCUMENTED) == []


def test_every_parameter_is_documented_with_its_default_range_and_unit() -> None:
    rows = [
        f"| `{tunable.rule}` | `{p.name}` | {number(p.default)} | {number(p.least)}, {number(p.most)} "
        f"| {p.unit} | {p.means} |"
        for tunable in TUNABLE
        for p in tunable.parameters
    ]
    rows += [f"| `{t.rule}` | `severity` | {t.severity} | {', '.join(t.severities)} | | |" for t in TUNABLE]
    assert sorted(row for row in rows if row not in DOCUMENTED) == []


def test_no_rule_is_documented_that_is_not_there() -> None:
    known = {rule.name for suite in SUITES for rule in suite.rules} | {"rule", "readers_see_own_rows_only"}
    listed = [line.split("|")[1].strip(" `") for line in DOCUMENTED.splitlines() if line.startswith("| ")]
    assert sorted(set(listed) - known) == []


def test_the_example_stands_in_the_text_as_it_is() -> None:
    assert f"```yaml\n{(ROOT / 'examples' / 'thresholds.yml').read_text()}```" in DOCUMENTED


def number(value: float) -> str:
    """As people write it."""
    return f"{int(value):,}" if value == int(value) else f"{value}"
