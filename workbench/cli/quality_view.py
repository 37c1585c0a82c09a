"""How `workbench quality report` looks in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.cli.output import count, note, print_rows, say, text
from workbench.quality.commands import commands_for
from workbench.quality.outline import needs_a_look
from workbench.quality.report import Check, Finding, Point, QualityReport, Tenant
from workbench.quality.shown import cell

TENANTS_SHOWN = 20
SAMPLES_SHOWN = 5


def print_report(report: QualityReport) -> None:
    """A quality report as short tables: what needs somebody in full, the rest in sums."""
    promotion = report.promotion
    about = {
        "promotion": promotion.promotion_id,
        "state": promotion.state,
        "as of": promotion.as_of,
        "asked by": promotion.asked_by,
        "seconds": promotion.seconds and round(promotion.seconds, 1),
        "tenants": promotion.tenants,
        "promoted": promotion.promoted,
        "held": promotion.held,
        "events": promotion.events,
    }
    print_rows([about])
    if promotion.error:
        say(promotion.error)
    _print_checks(report.checks)
    _print_tenants(report)
    if len(report.trend) > 1:
        print_rows([_point(point) for point in report.trend[-10:]], title="Trend")
    for command in report.commands:
        note(f"  {command.line}   ({command.does})")
    note("As a page with the samples: --html FILE; all of it: --json.")


def _print_checks(checks: Sequence[Check]) -> None:
    rows = []
    for boundary in dict.fromkeys(check.boundary for check in checks):
        inside = [check for check in checks if check.boundary == boundary]
        tables: dict[str, int] = {}
        for check in inside:
            tables[check.table_name] = max(check.checked_rows, tables.get(check.table_name, 0))
        passed = sum(check.outcome == "passed" for check in inside)
        rows.append(
            {"boundary": boundary, "rules": len(inside), "passed": passed, "rows checked": sum(tables.values())}
        )
    print_rows(rows, title="What was checked", empty="No rules are on record of this promotion.")
    wrong = [check for check in checks if check.outcome != "passed"]
    if wrong:
        print_rows([_check(check) for check in wrong], title="What did not pass")


def _check(check: Check) -> dict[str, object]:
    return {
        "boundary": check.boundary,
        "rule": check.rule,
        "severity": check.severity,
        "outcome": check.outcome,
        "rows checked": check.checked_rows,
        "failing rows": check.failing_rows,
        "tenants": check.failing_tenants,
        "why it matters": check.why,
    }


def _print_tenants(report: QualityReport) -> None:
    noted = [tenant for tenant in report.tenants if report.tenant_id or needs_a_look(tenant)]
    shown = noted if report.tenant_id else noted[:TENANTS_SHOWN]
    print_rows([_tenant(tenant) for tenant in shown], title="Tenants", empty="Every tenant passed.")
    for tenant in shown:
        if report.tenant_id or len(noted) <= 3:
            _print_findings(tenant)
    if len(noted) > len(shown):
        note(f"... and {len(noted) - len(shown):,} more that did not pass: --json lists them all.")
    passed = len(report.tenants) - len(noted)
    if passed and not report.tenant_id:
        say(f"{count(passed, 'tenant')} passed; --json lists them.")


def _tenant(tenant: Tenant) -> dict[str, object]:
    # New, changed and gone: that the promotion made, or a release would make.
    changed = [f"{each.mart} +{each.inserted:,} ~{each.updated:,} -{each.deleted:,}" for each in tenant.changes]
    return {
        "tenant": tenant.tenant_id,
        "verdict": tenant.verdict,
        "now": _now(tenant),
        "events": tenant.events,
        "rules": [finding.rule for finding in tenant.findings],
        "mart rows": changed,
        "figures as of": tenant.figures_as_of,
    }


def _now(tenant: Tenant) -> str:
    if tenant.open_hold is not None:
        return f"held since {text(tenant.open_hold.opened_at)}"
    if tenant.undone_at is not None:
        return "rolled back"
    return "promoted" if tenant.promoted else "not held any more" if tenant.held else "not published"


def _print_findings(tenant: Tenant) -> None:
    for finding in tenant.findings:
        say(f"{tenant.tenant_id}: {finding.rule} {'stops' if finding.stops else 'warns'}. {finding.detail}")
        _print_samples(finding)
    for command in commands_for(tenant):
        note(f"  {command.line}   ({command.does})")


def _print_samples(finding: Finding) -> None:
    samples: Sequence[Mapping[str, object]] = finding.samples[:SAMPLES_SHOWN]
    columns = list(dict.fromkeys(name for sample in samples for name in sample))
    if samples:
        print_rows([{name: cell(sample.get(name)).text for name in columns} for sample in samples])
    if len(finding.samples) > len(samples):
        note(f"{len(finding.samples) - len(samples):,} more sample rows: --html FILE or --json.")


def _point(point: Point) -> dict[str, object]:
    return {
        "promotion": point.promotion_id,
        "begun": point.started_at,
        "events": point.events,
        "promoted": point.promoted,
        "held": point.held,
        "failing rows": point.failing_rows,
        "verdict": point.verdict,
    }
