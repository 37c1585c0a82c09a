"""The thresholds file: what the rules that may be tuned are tuned to, for everybody and for single tenants.

A YAML file in version 1, refused whole with line, column and remedy for anything that is not as
`json_schema` says: a threshold that is silently not in effect is worse than none.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from checks.suites import TUNABLE
from checks.threshold_errors import Refused, refuse
from checks.tunable import SEVERITY, Parameter, Thresholds, Tunable
from pipeline.core.errors import SettingsError
from pipeline.core.tenants import TENANT_ID

__all__ = ["VERSION", "Thresholds", "json_schema", "load"]

VERSION = 1

UNREADABLE_REMEDY = "Is WORKBENCH_THRESHOLDS_FILE right, and may this process read the file?"
YAML_REMEDY = "Correct the YAML there; docs/quality-rules.md has a file to begin with."


class _Loader(yaml.SafeLoader):
    """YAML in which `off` is a word, as it is for people."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path: Path) -> Thresholds:
    """The thresholds in a file. Raises SettingsError, naming the place and the remedy, if it is not fit for use."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SettingsError(f"{path} cannot be read: {reason}.", remedy=UNREADABLE_REMEDY) from error
    try:
        return _thresholds(text)
    except Refused as refused:
        where = f"{path}, line {refused.line}, column {refused.column}"
        raise SettingsError(f"{where}: {refused.problem}.", remedy=refused.remedy) from refused


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of the file, for editors and for us."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Thresholds of the analytics workbench's quality rules",
        "type": "object",
        "additionalProperties": False,
        "required": ["version"],
        "properties": {
            "version": {"const": VERSION, "description": "The version of this format."},
            "defaults": {"$ref": "#/$defs/rules", "description": "For every tenant that has nothing else below."},
            "tenants": {
                "type": "object",
                "description": "By tenant, what is different for it.",
                "propertyNames": {"pattern": f"^{TENANT_ID.pattern}$"},
                "additionalProperties": {"$ref": "#/$defs/rules"},
            },
        },
        "$defs": {
            "rules": {
                "type": "object",
                "additionalProperties": False,
                "properties": {tunable.rule: _rule_schema(tunable) for tunable in TUNABLE},
            }
        },
    }


def _rule_schema(tunable: Tunable) -> dict[str, object]:
    severity = {"enum": list(tunable.severities), "default": tunable.severity}
    parameters = {parameter.name: _parameter_schema(parameter) for parameter in tunable.parameters}
    return {"type": "object", "additionalProperties": False, "properties": {SEVERITY: severity, **parameters}}


def _parameter_schema(parameter: Parameter) -> dict[str, object]:
    unit = f", in {parameter.unit}" if parameter.unit else ""
    return {
        "type": "integer" if parameter.is_whole else "number",
        "minimum": parameter.least,
        "maximum": parameter.most,
        "default": parameter.default,
        "description": f"{parameter.means[:1].upper()}{parameter.means[1:]}{unit}.",
    }


def _thresholds(text: str) -> Thresholds:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise Refused("the file is empty", remedy=f"Begin it with `version: {VERSION}`.")
        content = _value(loader, node, within=())
    except yaml.MarkedYAMLError as error:
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise Refused(f"this is no YAML: {problem}", remedy=YAML_REMEDY, mark=error.problem_mark) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise Refused(f"this is no YAML: {reason}", remedy=YAML_REMEDY) from error
    refuse(content, node, json_schema(), TUNABLE)
    return Thresholds(defaults=content.get("defaults", {}), tenants=content.get("tenants", {}))


def _value(loader: _Loader, node: yaml.Node, within: tuple[yaml.Node, ...]) -> Any:
    """What a node says. Names are text, whatever they look like: a tenant may be called 2024."""
    if node in within:
        raise Refused("an alias stands within what it stands for", remedy=YAML_REMEDY, mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, (*within, node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, entry, (*within, node)) for entry in node.value]
    value = loader.construct_object(node)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(f"{node.value} is no number to compare with", remedy="Use a finite one.", mark=node.start_mark)
    return value


def _mapping(loader: _Loader, node: yaml.MappingNode, within: tuple[yaml.Node, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, entry in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise Refused("a name is text, not a list or a mapping", remedy=YAML_REMEDY, mark=key.start_mark)
        if key.value in found:
            raise Refused(
                f"{key.value} is there twice",
                remedy="Keep one: the other would count for nothing.",
                mark=key.start_mark,
            )
        found[key.value] = _value(loader, entry, within)
    return found
