"""The catalogue of metrics: each a .yml that describes it, and a .sql of the same name that defines it.

It reads files and does not know the database. A metric is added by adding the two files. The .sql is one SELECT
over the views of `analytics`, in the order of the .yml's columns and sorted; in it `granularity`, `dimension`,
`range_start` (the first day of whole periods) and `range_end` (the first day after them) are given.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from pipeline.core.errors import DeploymentError

DEFINITIONS = Path(__file__).parent / "definitions"
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")

Granularity = Literal["day", "week", "month", "total"]
ColumnType = Literal["bigint", "boolean", "date", "double precision", "text", "timestamptz"]


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of what a metric answers."""

    name: str
    type: ColumnType
    description: str


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric as its .yml describes it; the first granularity and dimension are those that it has unasked."""

    title: str
    description: str
    unit: str
    granularities: tuple[Granularity, ...]
    dimensions: tuple[str, ...]
    columns: tuple[Column, ...]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric: its name, what its .yml says of it, and the SELECT of its .sql."""

    name: str
    described: Description
    select: str

    @property
    def granularities(self) -> tuple[Granularity, ...]:
        """Into which periods it can be divided; the first if nothing is asked for."""
        return self.described.granularities

    @property
    def dimensions(self) -> tuple[str, ...]:
        """By what it can be told apart; the first if nothing is asked for."""
        return self.described.dimensions

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it answers."""
        return self.described.columns


@cache
def read_metrics(folder: Path = DEFINITIONS) -> tuple[Metric, ...]:
    """Every metric, by name. Raises DeploymentError naming the file."""
    if lonely := sorted({path.stem for path in folder.glob("*.sql")} - {path.stem for path in folder.glob("*.yml")}):
        raise _bad(folder / f"{lonely[0]}.sql", "has no .yml beside it", "Describe it as its neighbours are.")
    return tuple(_metric(path) for path in sorted(folder.glob("*.yml")))


def _metric(path: Path) -> Metric:
    try:
        described = msgspec.convert(yaml.safe_load(path.read_text()), Description)
        select = path.with_suffix(".sql").read_text()
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise _bad(path, f"is not as expected: {error}", "See the ymls beside it.") from error
    except FileNotFoundError as error:
        raise _bad(path, "has no .sql beside it", "A metric has a definition.") from error
    names = [path.stem, *described.dimensions, *(column.name for column in described.columns)]
    if odd := [name for name in names if IDENTIFIER.fullmatch(name) is None]:
        raise _bad(path, f"uses the name {odd[0]!r}", "Use lower-case letters, digits and underscores.")
    if not (described.granularities and described.dimensions and described.columns):
        raise _bad(path, "lacks granularities, dimensions or columns", "Name one of each at least.")
    if ";" in select or "$metric$" in select:
        raise _bad(path.with_suffix(".sql"), "is more than one statement", "Write one SELECT, without a semicolon.")
    return Metric(name=path.stem, described=described, select=select.strip())


def _bad(path: Path, problem: str, remedy: str) -> DeploymentError:
    return DeploymentError(f"{path} {problem}.", remedy=remedy)
