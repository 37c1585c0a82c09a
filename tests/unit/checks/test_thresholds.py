"""The thresholds file: what it says is in effect, and what is not as it should be is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from checks.gate import ExpectationsGate
from checks.suites import SUITES, TUNABLE, suites
from checks.thresholds import json_schema, load
from checks.tunable import Thresholds
from pipeline.core.errors import SettingsError

EXAMPLE = Path(__file__).parents[3] / "examples" / "thresholds.yml"
AHEAD = next(tunable for tunable in TUNABLE if tunable.rule == "clock_is_not_ahead")

# What is written, where it is wrong, and words of the problem and the remedy.
BAD = [
    ("", 1, 1, "the file is empty", "Begin it with `version: 1`."),
    ("defaults: {}", 1, 1, "the version is missing", "Begin the file with `version: 1`."),
    ("version: 2", 1, 10, "version 2 of this file is not known", "This release reads version 1."),
    ("version: '1'", 1, 10, "version 1 of this file is not known", "This release reads version 1."),
    ("version: 1\nversion: 1", 2, 1, "version is there twice", "Keep one"),
    ("version: 1\ntenant: {}", 2, 1, "there is no 'tenant' here", "Did you mean tenants?"),
    ("- version", 1, 1, "the file is a list, not a mapping", "Write names and values"),
    ("version: 1\ndefaults:", 2, 10, "defaults is empty, not a mapping", "or leave it out"),
    ("version: 1\ndefaults: {clock_is_not_ahed: {}}", 2, 12, "there is no rule", "Did you mean clock_is_not_ahead?"),
    ("version: 1\ndefaults: {zzz: {}}", 2, 12, "there is no rule 'zzz'", "docs/quality-rules.md lists every rule"),
    (
        "version: 1\ndefaults:\n  dim_users_adds_up:\n    severity: warn",
        3,
        3,
        "the rule dim_users_adds_up cannot be tuned",
        "It holds or it does not",
    ),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {second: 1}", 3, 24, "no parameter 'second'", "mean seconds?"),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {seconds: 1h}", 3, 33, "is '1h', not a whole number", "no unit"),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {seconds: 1.5}", 3, 33, "is 1.5, not a whole number", "number"),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {seconds: true}", 3, 33, "'true', not a whole", "number"),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {seconds: -1}", 3, 33, "seconds is -1, less", "0 to 2,678,400"),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {seconds: 1e9}", 3, 33, "not a whole number", "0 to 2,678,400"),
    ("version: 1\ndefaults:\n  volume_does_not_soar: {share: .nan}", 3, 33, ".nan is no number", "finite"),
    ("version: 1\ndefaults:\n  volume_does_not_soar: {share: -.inf}", 3, 33, "-.inf is no number", "finite"),
    ("version: 1\ndefaults:\n  volume_does_not_soar: {share: 0.001}", 3, 33, "share is 0.001, less", "0.01 to 1,000"),
    ("version: 1\ndefaults:\n  clock_is_not_ahead: {severity: halt}", 3, 34, "severity cannot be 'halt'", "stop, warn"),
    ("version: 1\ndefaults:\n  tenant_is_not_silent: {severity: stop}", 3, 36, "cannot be 'stop'", "Use warn, off"),
    ("version: 1\ntenants:\n  Acme:\n    clock_is_not_ahead: {}", 3, 3, "'Acme' cannot be a tenant", "tenants list"),
    ("version: 1\ntenants:\n  a') or (1=1: {}", 3, 3, "cannot be a tenant", "tenants list"),
    ("version: 1\ntenants:\n  acme: 5", 3, 9, "acme is 5, not a mapping", "Write names"),
    ("version: [", 1, 11, "this is no YAML", "Correct the YAML there"),
    ("version: 1\n---\nversion: 1", 2, 1, "this is no YAML", "Correct the YAML there"),
    ("version: &a [*a]", 1, 10, "an alias stands within", "Correct the YAML there"),
    ("version: !!python/name:os.system x", 1, 10, "this is no YAML", "Correct the YAML there"),
    ("? [a]\n: 1", 1, 3, "a name is text", "Correct the YAML there"),
    ("version: 1\x00", 1, 1, "this is no YAML", "Correct the YAML there"),
    ("version: !!int x", 1, 1, "this is no YAML", "Correct the YAML there"),
    ("version: " + "[" * 3000, 1, 1, "this is no YAML", "Correct the YAML there"),
]


def written(folder: Path, text: str) -> Path:
    """A file with this text."""
    path = folder / "thresholds.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "line", "column", "problem", "remedy"), BAD)
def test_a_bad_file_is_refused_with_its_place_and_the_remedy(
    tmp_path: Path, text: str, line: int, column: int, problem: str, remedy: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}, line {line}, column {column}: ")
    assert problem in refused.value.message
    assert remedy.replace("no unit", "without a unit") in (refused.value.remedy or "")


def test_the_first_of_several_mistakes_is_told(tmp_path: Path) -> None:
    text = "version: 1\ndefaults:\n  clock_is_not_ahead:\n    seconds: -1\n    secods: 1\n  zzz: {}\n"
    with pytest.raises(SettingsError, match="line 4, column 14: seconds is -1"):
        load(written(tmp_path, text))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "thresholds.yml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read") as refused:
        load(path)
    assert refused.value.remedy is not None
    assert "WORKBENCH_THRESHOLDS_FILE" in refused.value.remedy


def test_a_file_says_what_is_tuned_and_off_is_a_word(tmp_path: Path) -> None:
    text = """
version: 1
defaults:
  clock_is_not_ahead: {seconds: 60.0}
tenants:
  2024:
    clock_is_not_ahead:
      seconds: 86_400
      severity: off
"""
    assert load(written(tmp_path, text)) == Thresholds(
        defaults={"clock_is_not_ahead": {"seconds": 60}},
        tenants={"2024": {"clock_is_not_ahead": {"seconds": 86400, "severity": "off"}}},
    )


def test_the_example_is_fit_for_use_and_the_schema_is_a_schema() -> None:
    assert load(EXAMPLE).tenants
    Draft202012Validator.check_schema(json_schema())


def test_without_a_file_the_rules_are_as_declared() -> None:
    assert [rule.name for suite in suites(Thresholds()) for rule in suite.rules] == [
        rule.name for suite in SUITES for rule in suite.rules
    ]
    assert {tunable.rule for tunable in TUNABLE} <= {rule.name for suite in SUITES for rule in suite.rules}


def test_what_counts_for_a_tenant_becomes_sql_by_value() -> None:
    tuned = Thresholds(
        defaults={"clock_is_not_ahead": {"seconds": 60}},
        tenants={
            "acme": {"clock_is_not_ahead": {"seconds": 86400}},
            "globex": {"clock_is_not_ahead": {"seconds": 86400, "severity": "off"}},
            "initech": {"clock_is_not_ahead": {"severity": "warn"}},
            "same": {"clock_is_not_ahead": {"seconds": 60}},
        },
    ).of(AHEAD)
    assert tuned.sql("seconds", "t") == "(case when t in ('acme', 'globex') then 86400 else 60 end)::double precision"
    assert tuned.applies("t") == "(t in ('globex')) is not true"
    rule = tuned.rule("Why.", lambda gx: gx)
    assert [rule.severity_for(tenant) for tenant in ("acme", "globex", "initech", None)] == [
        "stop",
        None,
        "warn",
        "stop",
    ]
    assert rule.severity == "stop"


def test_a_rule_can_be_for_some_only() -> None:
    tenants = {"acme": {"clock_is_not_ahead": {"severity": "warn"}}}
    some = Thresholds(defaults={"clock_is_not_ahead": {"severity": "off"}}, tenants=tenants).of(AHEAD)
    assert some.applies() == "tenant_id in ('acme')"
    assert (some.rule("Why.", lambda gx: gx).severity, some.rule("Why.", lambda gx: gx).is_in_force) == ("warn", True)
    nobody = Thresholds(defaults={"clock_is_not_ahead": {"severity": "off"}}).of(AHEAD)
    assert (nobody.applies(), nobody.rule("Why.", lambda gx: gx).is_in_force) == ("false", False)


@pytest.mark.parametrize(
    "thresholds",
    [
        Thresholds(tenants={"a'; drop table x; --": {"clock_is_not_ahead": {"seconds": 1}}}),
        Thresholds(defaults={"clock_is_not_ahead": {"seconds": "1; drop table x"}}),
        Thresholds(defaults={"clock_is_not_ahead": {"seconds": float("nan")}}),
        Thresholds(defaults={"clock_is_not_ahead": {"seconds": 1.5}}),
        Thresholds(defaults={"clock_is_not_ahead": {"seconds": -1}}),
        Thresholds(defaults={"clock_is_not_ahead": {"secs": 1}}),
        Thresholds(defaults={"tenant_is_not_silent": {"severity": "stop"}}),
        Thresholds(tenants={"acme": {"clock_is_not_ahead": {"severity": "halt"}}}),
    ],
)
def test_no_value_reaches_sql_that_the_rule_may_not_have(thresholds: Thresholds) -> None:
    with pytest.raises(ValueError, match=r"cannot|no parameter"):
        suites(thresholds)


def test_every_parameter_has_a_default_in_its_range_and_says_what_it_is() -> None:
    parameters = [parameter for tunable in TUNABLE for parameter in tunable.parameters]
    assert [p.name for p in parameters if not p.least <= p.default <= p.most or not p.means] == []
    assert [t.rule for t in TUNABLE if t.severity not in t.severities] == []


def test_tuning_changes_the_fingerprint_of_the_rules_only_where_something_differs() -> None:
    def fingerprint(**rule: int | str) -> str:
        thresholds = Thresholds(tenants={"acme": {"clock_is_not_ahead": rule}})
        return ExpectationsGate("postgresql://nowhere", suites=suites(thresholds)).fingerprint

    as_declared = ExpectationsGate("postgresql://nowhere").fingerprint
    assert fingerprint(seconds=3600) == as_declared
    assert len({as_declared, fingerprint(seconds=60), fingerprint(severity="warn"), fingerprint(severity="off")}) == 4
