"""What is wrong with a thresholds file, where, and what to do: from a schema's complaint to words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from checks.tunable import SEVERITY, Tunable

DOCUMENTED = "docs/quality-rules.md lists every rule and its parameters."
KINDS = {"object": "a mapping", "integer": "a whole number", "number": "a number"}


class Refused(Exception):
    """A thresholds file that is not in effect; `line` and `column` count from 1."""

    def __init__(self, problem: str, *, remedy: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.line = 1 if mark is None else mark.line + 1
        self.column = 1 if mark is None else mark.column + 1


def refuse(content: Any, node: yaml.Node, schema: Mapping[str, object], tunable: Sequence[Tunable]) -> None:
    """Raise Refused for the first thing in the file, from its top, that is not as the schema says."""
    complaints = [
        refused
        for error in Draft202012Validator(schema).iter_errors(content)
        for refused in _explain(error, node, {rule.rule: rule for rule in tunable})
    ]
    if complaints:
        raise min(complaints, key=lambda refused: (refused.line, refused.column))


def _explain(error: ValidationError, root: yaml.Node, tunable: Mapping[str, Tunable]) -> Iterable[Refused]:
    path = [str(part) for part in error.absolute_path]
    mapping = _find(root, path)
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        for name in error.instance:
            if name not in known:
                yield _unknown(name, path, known, mark=_key(mapping, name), tunable=tunable)
    elif error.validator == "pattern":
        # Of the names of tenants, of which the error does not say where they stand.
        mark = _key(_find(root, ["tenants"]), error.instance)
        yield Refused(
            f"{error.instance!r} cannot be a tenant", remedy="`workbench tenants list` shows them.", mark=mark
        )
    else:
        problem, remedy = _wrong(error, path)
        yield Refused(problem, remedy=remedy, mark=mapping.start_mark)


def _unknown(
    name: str, path: Sequence[str], known: Sequence[str], *, mark: yaml.Mark, tunable: Mapping[str, Tunable]
) -> Refused:
    nearest = get_close_matches(name, known, n=1)
    meant = f"Did you mean {nearest[0]}? " if nearest else ""
    if not path:
        return Refused(f"there is no {name!r} here", remedy=f"{meant}Known are {', '.join(known)}.", mark=mark)
    if path[-1] in tunable:
        return Refused(f"{path[-1]} has no parameter {name!r}", remedy=f"{meant}It has {', '.join(known)}.", mark=mark)
    if _is_rule(name):
        remedy = "It holds or it does not; only what is a matter of degree can be tuned. " + DOCUMENTED
        return Refused(f"the rule {name} cannot be tuned", remedy=remedy, mark=mark)
    return Refused(f"there is no rule {name!r}", remedy=f"{meant}{DOCUMENTED}", mark=mark)


def _wrong(error: ValidationError, path: Sequence[str]) -> tuple[str, str]:
    """The problem and the remedy, for a value that is there."""
    name, bound = (path[-1] if path else "the file"), error.validator_value
    found = error.instance
    if error.validator == "required":
        return "the version is missing", "Begin the file with `version: 1`."
    if error.validator == "const":
        return f"version {found} of this file is not known", f"This release reads version {bound}."
    if error.validator == "enum":
        also = " It is told of tenants that may be in no promotion, so it cannot stop." if "stop" not in bound else ""
        return f"{SEVERITY} cannot be {found!r}", f"Use {', '.join(bound)}.{also}"
    if error.validator in ("minimum", "maximum"):
        least, most = error.schema["minimum"], error.schema["maximum"]
        side = "less" if error.validator == "minimum" else "more"
        return f"{name} is {found}, {side} than it may be", f"Use {_number(least)} to {_number(most)}."
    return f"{name} is {_describe(found)}, not {KINDS[str(bound)]}", _remedy(error)


def _remedy(error: ValidationError) -> str:
    if error.validator_value == "object":
        return "Write names and values below it, indented, or leave it out."
    least, most = error.schema["minimum"], error.schema["maximum"]
    return f"Write a number from {_number(least)} to {_number(most)}, without a unit."


def _number(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value}"


def _describe(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "empty" if value == "" or value is None else repr(value)


def _is_rule(name: str) -> bool:
    from checks.suites import SUITES

    return any(rule.name == name for suite in SUITES for rule in suite.rules)


def _find(node: yaml.Node, path: Sequence[str]) -> yaml.Node:
    """The node of a value; of a place that is not there, the last one on the way."""
    for part in path:
        entries = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((entry for key, entry in entries if key.value == part), node)
    return node


def _key(node: yaml.Node, name: str) -> yaml.Mark:
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next((key.start_mark for key, _ in entries if key.value == name), node.start_mark)
