"""A gate whose verdicts are written in the events themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.core.verdicts import Finding, Report, VerdictState
from tests.integration.promote.estate import Estate

TAINTS = "select distinct tenant_id, properties ->> 'taint' from candidate.fct_usage_events where properties ? 'taint'"


class TaintGate:
    """Fails the tenants whose candidate holds an event that names a rule in force as its taint."""

    def __init__(self, estate: Estate, rules: Iterable[str]) -> None:
        self._estate = estate
        self.rules = frozenset(rules)
        self.blind: dict[str, str] = {}
        """Tenant to errored or unseen."""

    @property
    def fingerprint(self) -> str:
        """The rules in force; that the gate is blind for somebody is no rule."""
        return repr(sorted(self.rules))

    def judge(self, *, promotion_id: int, tenants: Mapping[str, int], models: Sequence[str]) -> Report:
        """From what is in the candidate."""
        del promotion_id, models
        found = [(t, rule) for t, rule in self._estate.rows(TAINTS) if rule in self.rules and t not in self.blind]
        failed = {tenant for tenant, _ in found}
        states = {t: VerdictState.FAILED if t in failed else VerdictState.PASSED for t in tenants}
        states |= {t: VerdictState(state) for t, state in self.blind.items() if t in tenants}
        return Report(verdicts=states, findings=tuple(_finding(*each) for each in found))


def _finding(tenant: str, rule: str) -> Finding:
    return Finding(
        tenant_id=tenant,
        boundary="taint",
        rule=rule,
        severity="stop",
        outcome="failed",
        failing_rows=1,
        detail="tainted",
    )
