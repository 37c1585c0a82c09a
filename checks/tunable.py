"""What of a rule may be tuned, and what it is tuned to, for everybody and for single tenants.

It knows neither a file nor the database: `checks.thresholds` reads the one, and the suites put the
values into SQL, which they get from here as literals that were checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from psycopg import sql

from checks.rules import ExpectationFactory, Rule, Setting, Severities, Severity
from pipeline.core.tenants import TENANT_ID

Number = int | float
Values = Mapping[str, Number | str]
"""A rule's parameters by name, and `severity`."""

SEVERITY = "severity"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A number that a rule reads, in its range; a whole one where the default is. `unit` may be empty."""

    name: str
    default: Number
    least: Number
    most: Number
    unit: str
    means: str

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return isinstance(self.default, int)

    def require(self, value: Number | str) -> Number:
        """The value, if it is one that the parameter may have. Raises ValueError."""
        if isinstance(value, bool | str) or not self.least <= value <= self.most:
            raise ValueError(f"{self.name} cannot be {value!r}")
        # NaN was in no range.
        if self.is_whole and value != int(value):
            raise ValueError(f"{self.name} cannot be {value!r}, but a whole number")
        return value


@dataclass(frozen=True, kw_only=True)
class Tunable:
    """A rule that may be tuned: its severity, to one of `severities`, and its parameters."""

    rule: str
    severity: Severity
    severities: tuple[Setting, ...] = ("stop", "warn", "off")
    parameters: tuple[Parameter, ...] = ()

    def require(self, values: Values) -> Values:
        """The values, if the rule may have them. Raises ValueError."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in values.items():
            if name == SEVERITY:
                if value not in self.severities:
                    raise ValueError(f"{self.rule} cannot be set to {value!r}")
            elif name in known:
                known[name].require(value)
            else:
                raise ValueError(f"{self.rule} has no parameter {name!r}")
        return values


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """A tunable rule with its values: `otherwise` has all of them, `tenants` what is different for some."""

    tunable: Tunable
    otherwise: Values
    tenants: Mapping[str, Values]

    @property
    def severities(self) -> Severities:
        """The severity of each tenant."""
        return Severities(
            otherwise=self.otherwise[SEVERITY],  # type: ignore[arg-type]  # as `require` left it
            tenants={tenant: values[SEVERITY] for tenant, values in self.tenants.items() if SEVERITY in values},  # type: ignore[misc]
        )

    def sql(self, parameter: str, tenant: str = "tenant_id") -> str:
        """SQL for the value that counts for the tenant in a column."""
        by_value: dict[Number | str, list[str]] = {}
        for name, values in self.tenants.items():
            if values.get(parameter, self.otherwise[parameter]) != self.otherwise[parameter]:
                by_value.setdefault(values[parameter], []).append(name)
        if not by_value:
            return f"({_literal(self.otherwise[parameter])})::double precision"
        # Lists are hashed: however many tenants differ, a row costs a look-up for each value.
        cases = " ".join(f"when {tenant} in ({_list(of)}) then {_literal(value)}" for value, of in by_value.items())
        return f"(case {cases} else {_literal(self.otherwise[parameter])} end)::double precision"

    def applies(self, tenant: str = "tenant_id") -> str:
        """SQL for whether the rule is on for the tenant in a column; true where that is null."""
        is_on = {name: values.get(SEVERITY, self.otherwise[SEVERITY]) != "off" for name, values in self.tenants.items()}
        if self.otherwise[SEVERITY] == "off":
            named = [name for name, on in is_on.items() if on]
            return f"{tenant} in ({_list(named)})" if named else "false"
        unnamed = [name for name, on in is_on.items() if not on]
        return f"({tenant} in ({_list(unnamed)})) is not true" if unnamed else "true"

    def rule(self, why: str, expectation: ExpectationFactory) -> Rule:
        """The rule itself."""
        severities = self.severities
        return Rule(
            name=self.tunable.rule,
            severity="stop" if "stop" in severities.all() else "warn",
            severities=severities,
            why=why,
            expectation=expectation,
        )


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What rules are tuned to: by rule for everybody, and by tenant and rule. Empty: as they are declared."""

    defaults: Mapping[str, Values] = field(default_factory=dict)
    tenants: Mapping[str, Mapping[str, Values]] = field(default_factory=dict)

    def of(self, tunable: Tunable) -> Tuned:
        """A rule with its values. Raises ValueError for one that it may not have, or for no tenant's id."""
        declared: Values = {SEVERITY: tunable.severity, **{p.name: p.default for p in tunable.parameters}}
        tenants = {
            _tenant(tenant): tunable.require(rules[tunable.rule])
            for tenant, rules in sorted(self.tenants.items())
            if rules.get(tunable.rule)
        }
        otherwise = {**declared, **tunable.require(self.defaults.get(tunable.rule, {}))}
        return Tuned(tunable=tunable, otherwise=otherwise, tenants=tenants)


def _tenant(tenant: str) -> str:
    if TENANT_ID.fullmatch(tenant) is None:
        raise ValueError(f"{tenant!r} cannot be a tenant")
    return tenant


def _list(tenants: Iterable[str]) -> str:
    return ", ".join(_literal(tenant) for tenant in tenants)


def _literal(value: Number | str) -> str:
    return sql.Literal(value).as_string(None).strip()
