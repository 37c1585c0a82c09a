"""What of a report goes on a page, however many tenants there are: what needs somebody first, the rest in sums.

Everything that is left out is counted, so that the page can say so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

import msgspec

from workbench.quality.charts import Chart, charts
from workbench.quality.commands import commands_for
from workbench.quality.report import Check, Command, Finding, QualityReport, Tenant
from workbench.quality.shown import Cell, cell, harmless

DETAILED = 20
"""Tenants with all their findings; and findings of a tenant."""
LISTED = 100
"""Lines of any other list of tenants."""
NAMED = 10
"""Tenants named at a warning."""
WARNING_SAMPLES = 5
COLUMNS = 12
SAMPLE_CHARACTERS = 300_000
"""Of all samples on a page: some hundred tables of 20 rows."""
COST_OF_A_CELL = 30


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """Sample rows as a table; empty with `left` rows where the page has no room for them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    columns_left: int = 0
    left: int = 0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with the rows that are shown."""

    finding: Finding
    samples: Samples


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant in full."""

    tenant: Tenant
    found: Sequence[Found]
    found_left: int
    commands: Sequence[Command]


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that warns, over all tenants that are not shown in full; the samples are of `example`."""

    boundary: str
    rule: str
    why: str
    failing_rows: int
    tenants: Sequence[tuple[str, int]]
    """The tenants with the most failing rows, and how many."""
    tenants_left: int
    example: str
    samples: Samples


class Boundary(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one boundary."""

    name: str
    checks: Sequence[Check]
    """Those that did not pass first."""
    failing: int
    """Of its rules, those that did not pass."""
    stopping: int
    """Of those, the ones that hold tenants."""


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """Tenants that were promoted without anything to decide: the largest, and sums over all."""

    tenants: Sequence[Tenant]
    left: int
    count: int
    events: int
    changed: int


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A page's content, in its order."""

    report: QualityReport
    cards: Sequence[Card]
    listed: Sequence[Tenant]
    """More tenants that did not pass, without their findings."""
    listed_left: int
    warnings: Sequence[Warned]
    boundaries: Sequence[Boundary]
    passed: Passed
    charts: Sequence[Chart]

    @property
    def looked_at(self) -> int:
        """How many tenants did not simply pass."""
        return len(self.cards) + len(self.listed) + self.listed_left

    @property
    def kinds(self) -> str:
        """What these tenants are called together."""
        if not self.report.promotion.is_out:
            return "Not promoted"
        shown = [*(card.tenant for card in self.cards), *self.listed]
        return "Held" if all(tenant.held for tenant in shown) else "Held, released or rolled back"

    @property
    def checked_rows(self) -> int:
        """Rows of candidate tables that were checked, each once."""
        largest: dict[str, int] = {}
        for check in self.report.checks:
            largest[check.table_name] = max(check.checked_rows, largest.get(check.table_name, 0))
        return sum(largest.values())


class Room:
    """How many characters of samples a page has left."""

    def __init__(self, characters: int = SAMPLE_CHARACTERS) -> None:
        self._left = characters

    def samples(self, finding: Finding, most: int) -> Samples:
        """Up to `most` of a finding's rows; none of them where the page is full."""
        rows = finding.samples[:most]
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = names[:COLUMNS]
        cells = [[cell(row.get(name)) for name in columns] for row in rows]
        cost = sum(len(each.text) + COST_OF_A_CELL for row in cells for each in row)
        if cost > self._left:
            return Samples(columns=(), rows=(), left=len(rows))
        self._left -= cost
        shown = [harmless(name[:60]) for name in columns]
        return Samples(columns=shown, rows=cells, columns_left=len(names) - len(columns))


def outline(report: QualityReport) -> Outline:
    """What goes on the page of a report."""
    noted = [tenant for tenant in report.tenants if report.tenant_id or needs_a_look(tenant)]
    others = [tenant for tenant in report.tenants if not report.tenant_id and not needs_a_look(tenant)]
    room = Room()
    return Outline(
        report=report,
        cards=[_card(tenant, room) for tenant in noted[:DETAILED]],
        listed=noted[DETAILED : DETAILED + LISTED],
        listed_left=max(0, len(noted) - DETAILED - LISTED),
        warnings=_warnings(others, room),
        boundaries=_boundaries(report.checks),
        passed=_passed(others),
        charts=charts(report.trend, of_tenant=report.tenant_id is not None) if report.trend else (),
    )


def needs_a_look(tenant: Tenant) -> bool:
    """Whether a tenant did not simply pass."""
    return not tenant.promoted or tenant.undone_at is not None or tenant.verdict == "released"


def changed_rows(tenant: Tenant) -> int:
    """Rows of all marts that differ from before."""
    return sum(change.inserted + change.updated + change.deleted for change in tenant.changes)


def _card(tenant: Tenant, room: Room) -> Card:
    found = [Found(finding=each, samples=room.samples(each, 20)) for each in tenant.findings[:DETAILED]]
    left = len(tenant.findings) - len(found)
    return Card(tenant=tenant, found=found, found_left=left, commands=commands_for(tenant))


def _warnings(tenants: Sequence[Tenant], room: Room) -> list[Warned]:
    found: defaultdict[tuple[str, str], list[tuple[str, Finding]]] = defaultdict(list)
    for tenant in tenants:
        for finding in tenant.findings:
            found[finding.boundary, finding.rule].append((tenant.tenant_id, finding))
    warnings = [_warning(each, room) for each in found.values()]
    return sorted(warnings, key=lambda each: (-each.failing_rows, each.boundary, each.rule))


def _warning(found: list[tuple[str, Finding]], room: Room) -> Warned:
    found = sorted(found, key=lambda each: (-each[1].failing_rows, each[0]))
    example, finding = found[0]
    return Warned(
        boundary=finding.boundary,
        rule=finding.rule,
        why=finding.why or finding.detail,
        failing_rows=sum(each.failing_rows for _, each in found),
        tenants=[(tenant, each.failing_rows) for tenant, each in found[:NAMED]],
        tenants_left=max(0, len(found) - NAMED),
        example=example,
        samples=room.samples(finding, WARNING_SAMPLES),
    )


def _boundaries(checks: Sequence[Check]) -> list[Boundary]:
    boundaries = []
    for name, group in groupby(checks, key=lambda check: check.boundary):
        inside = sorted(group, key=lambda check: (check.outcome == "passed", check.severity, check.rule))
        wrong = [check for check in inside if check.outcome != "passed"]
        stopping = [check for check in wrong if check.severity == "stop" or check.outcome == "errored"]
        boundaries.append(Boundary(name=name, checks=inside, failing=len(wrong), stopping=len(stopping)))
    return sorted(boundaries, key=lambda each: (not each.stopping, not each.failing, each.name))


def _passed(tenants: Sequence[Tenant]) -> Passed:
    largest = sorted(tenants, key=lambda tenant: (-tenant.events, tenant.tenant_id))
    return Passed(
        tenants=largest[:LISTED],
        left=max(0, len(tenants) - LISTED),
        count=len(tenants),
        events=sum(tenant.events for tenant in tenants),
        changed=sum(map(changed_rows, tenants)),
    )
