"""What is published: the marts and cached views, as the yml beside each model declares them.

It reads files and knows neither dbt nor the database. A mart is added by adding a .sql and a .yml.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from pipeline.core.errors import DeploymentError

T = TypeVar("T")

TENANT_COLUMN = "tenant_id"
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")

TYPES = {
    "bigint": "bigint",
    "boolean": "boolean",
    "date": "date",
    "double precision": "double precision",
    "integer": "integer",
    "jsonb": "jsonb",
    "text": "text",
    "timestamptz": "timestamp with time zone",
    "uuid": "uuid",
}
"""Column types, and what PostgreSQL calls them: those that row security may push into an index
(leakproof comparison), and jsonb."""


class Strategy(StrEnum):
    """How a candidate reaches its mart."""

    APPEND = "append"
    MERGE = "merge"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A published column; `type` is a key of TYPES."""

    name: str
    type: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Mart:
    """A published table: `candidate.<name>` is merged into `marts.<name>`, same columns, by `key`."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    tenant_column: str
    grain: str
    strategy: Strategy
    indexes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class CachedView:
    """A materialized view over marts, `cache.<name>`, with a unique index on `key`."""

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    tenant_column: str
    grain: str
    sql: str


class _Column(msgspec.Struct, frozen=True):
    name: str
    data_type: str
    description: str


class _Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: tuple[str, ...]
    tenant_column: str
    grain: str
    strategy: Strategy
    indexes: tuple[tuple[str, ...], ...] = ()


class _Cached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    description: str
    key: tuple[str, ...]
    tenant_column: str
    grain: str
    columns: tuple[_Column, ...]


def read_marts(dbt_dir: Path) -> tuple[Mart, ...]:
    """Every model whose yml has `config.meta.publish`, by name. Raises DeploymentError naming the file."""
    marts = [
        _mart(path, model)
        for path in sorted((dbt_dir / "models").rglob("*.yml"))
        for model in _load(path).get("models", [])
        if "publish" in model.get("config", {}).get("meta", {})
    ]
    return tuple(sorted(marts, key=lambda mart: mart.name))


def read_cached_views(dbt_dir: Path) -> tuple[CachedView, ...]:
    """Every yml in `cache/` with its .sql, by name. Raises DeploymentError naming the file."""
    return tuple(_cached_view(path) for path in sorted((dbt_dir / "cache").glob("*.yml")))


def models_fingerprint(dbt_dir: Path) -> str:
    """SHA-256 of what decides the marts' content: models, macros and their ymls, but no prose or tests."""
    digest = hashlib.sha256()
    for path in sorted(_sources(dbt_dir)):
        text = path.read_text()
        content = text if path.suffix == ".sql" else repr(_without_prose(yaml.safe_load(text)))
        for part in (path.relative_to(dbt_dir).as_posix(), content):
            digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()


def _sources(dbt_dir: Path) -> Iterator[Path]:
    yield dbt_dir / "dbt_project.yml"
    for folder in ("models", "macros"):
        yield from (dbt_dir / folder).rglob("*.sql")
        yield from (dbt_dir / folder).rglob("*.yml")


def _without_prose(value: Any) -> Any:
    if isinstance(value, dict):
        prose = {"description", "unit_tests", "data_tests"}
        return {name: _without_prose(entry) for name, entry in sorted(value.items()) if name not in prose}
    return [_without_prose(entry) for entry in value] if isinstance(value, list) else value


def _mart(path: Path, model: dict[str, Any]) -> Mart:
    publish = _convert(path, model["config"]["meta"]["publish"], _Publish)
    columns = _columns(path, _convert(path, model.get("columns", []), tuple[_Column, ...]))
    if model.get("config", {}).get("contract", {}).get("enforced") is False:
        raise _bad(path, "switches its contract off", "A published model's contract is enforced.")
    mart = Mart(
        name=model["name"],
        description=str(model.get("description", "")).strip(),
        columns=columns,
        **{field: getattr(publish, field) for field in publish.__struct_fields__},
    )
    _require_shape(path, mart)
    for index in mart.indexes:
        _require_led_by_tenant(path, "an index", index, columns)
    return mart


def _cached_view(path: Path) -> CachedView:
    cached = _convert(path, _load(path), _Cached)
    fields = {name: getattr(cached, name) for name in ("name", "description", "key", "tenant_column", "grain")}
    sql = path.with_suffix(".sql")
    view = CachedView(columns=_columns(path, cached.columns), sql=sql.read_text() if sql.exists() else "", **fields)
    _require_shape(path, view)
    return view


def _require_shape(path: Path, relation: Mart | CachedView) -> None:
    if path.stem != relation.name or not path.with_suffix(".sql").exists():
        raise _bad(
            path, f"describes {relation.name}", f"Keep {relation.name}.sql and {relation.name}.yml side by side."
        )
    if {relation.tenant_column, relation.columns[0].name} != {TENANT_COLUMN}:
        raise _bad(path, f"does not begin with {TENANT_COLUMN}", f"Make {TENANT_COLUMN} its first column.")
    _require_led_by_tenant(path, "the key", relation.key, relation.columns)
    if not relation.description.lower().endswith(f"{relation.grain.lower()}."):
        raise _bad(path, "has a description that does not end with its grain", f"End it with: {relation.grain}.")


def _require_led_by_tenant(path: Path, what: str, names: tuple[str, ...], columns: Sequence[Column]) -> None:
    if names[:1] != (TENANT_COLUMN,):
        raise _bad(path, f"has {what} that does not begin with {TENANT_COLUMN}", f"Put {TENANT_COLUMN} first.")
    unknown = sorted(set(names) - {column.name for column in columns})
    if unknown or len(set(names)) < len(names):
        raise _bad(path, f"has {what} over {', '.join(names)}", "Name columns of its own, each once.")


def _columns(path: Path, columns: tuple[_Column, ...]) -> tuple[Column, ...]:
    if not columns:
        raise _bad(path, "has no columns", "A contract lists every column with data_type and description.")
    for column in columns:
        if IDENTIFIER.fullmatch(column.name) is None:
            raise _bad(path, f"has the column {column.name!r}", "Use lower-case letters, digits and underscores.")
        if column.data_type not in TYPES:
            raise _bad(path, f"has {column.name} of type {column.data_type!r}", f"Use one of {', '.join(TYPES)}.")
    return tuple(Column(name=c.name, type=c.data_type, description=c.description.strip()) for c in columns)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise _bad(path, f"is no YAML: {error}", "Correct it.") from error
    if not isinstance(content, dict):
        raise _bad(path, "is not a mapping", "See the ymls beside it.")
    return content


def _convert(path: Path, value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _bad(path, f"is not as expected: {error}", "See the ymls beside it.") from error


def _bad(path: Path, problem: str, remedy: str) -> DeploymentError:
    return DeploymentError(f"{path} {problem}.", remedy=remedy)
