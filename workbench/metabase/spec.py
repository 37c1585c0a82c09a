"""What dashboards there are: YAML files, one per dashboard, as values.

A file's name is the dashboard's slug. Which of its values are fit for Metabase and for customers is `lint`'s word.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import yaml

from pipeline.core.errors import SpecError

FOLDER = Path(__file__).parent / "dashboards"
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]")
UNKNOWN_FIELD = re.compile(r"unknown field `([^`]+)`")

Display = Literal["area", "bar", "combo", "line", "pie", "pivot", "row", "scalar", "table"]
ParameterType = Literal["date/single", "number/=", "string/="]
Audience = Literal["customers", "staff"]
Cells = Annotated[int, msgspec.Meta(ge=0)]
Extent = Annotated[int, msgspec.Meta(ge=1)]
Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a card stands, in cells of a grid that is 24 columns wide."""

    row: Cells
    column: Cells
    width: Extent
    height: Extent


class ParameterSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A filter that the reader of a dashboard may set; cards take it as the tag of its slug."""

    slug: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,30}$")]
    name: Title
    type: ParameterType
    default: str | int | None = None
    values: tuple[str, ...] = ()
    """What may be chosen; empty where anything may be given."""


class CardSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question in SQL, and how its answer is drawn."""

    name: Title
    description: str = ""
    display: Display
    place: Place
    sql: Annotated[str, msgspec.Meta(min_length=1)]
    settings: dict[str, Any] = {}
    """Metabase's visualization_settings."""


class DashboardSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dashboard: for customers, each of whom sees its own figures, or for our own staff."""

    title: Title
    audience: Audience
    description: Annotated[str, msgspec.Meta(min_length=1)]
    parameters: tuple[ParameterSpec, ...] = ()
    cards: Annotated[tuple[CardSpec, ...], msgspec.Meta(min_length=1)]


class SpecFile(msgspec.Struct, frozen=True, kw_only=True):
    """A dashboard and the file that says so."""

    slug: str
    path: Path
    dashboard: DashboardSpec
    card_lines: tuple[int, ...]
    """The line at which each card begins."""

    def error(self, problem: str, *, remedy: str, card: int | None = None) -> SpecError:
        """What is wrong with it, with the place."""
        line = 1 if card is None else self.card_lines[card]
        about = "" if card is None else f"card {self.dashboard.cards[card].name!r} "
        return SpecError(f"{self.path}:{line}: {about}{problem}.", remedy=remedy)


def read_specs(folder: Path = FOLDER) -> tuple[SpecFile, ...]:
    """Every dashboard of a folder, by slug. Raises SpecError naming file and line."""
    found = tuple(read_spec(path) for path in sorted(folder.glob("*.yml")))
    if not found:
        raise SpecError(f"There is no dashboard in {folder}.", remedy="A dashboard is a .yml file in it.")
    return found


def read_spec(path: Path) -> SpecFile:
    """The dashboard that a file describes. Raises SpecError naming file and line."""
    if SLUG.fullmatch(path.stem) is None:
        raise SpecError(
            f"{path}: the file's name is no slug.", remedy="Use lower-case letters, digits and hyphens: usage.yml."
        )
    try:
        root = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} cannot be read: {error}.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{path}:{line}: is not YAML: {error.problem}.") from error
    _refuse_repeated_keys(path, root)
    try:
        dashboard = msgspec.convert(yaml.safe_load(path.read_text()), DashboardSpec)
    except msgspec.ValidationError as error:
        raise SpecError(
            f"{path}:{_line_of(root, str(error))}: {error}.", remedy="docs/dashboards.md lists what a file may say."
        ) from error
    lines = tuple(_node_at(root, f"$.cards[{index}]").start_mark.line + 1 for index in range(len(dashboard.cards)))
    return SpecFile(slug=path.stem, path=path, dashboard=dashboard, card_lines=lines)


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """YAML's reader takes the last of a key that is given twice, and tells nobody."""
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_repeated_keys(path, child)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                raise SpecError(f"{path}:{key.start_mark.line + 1}: {key.value!r} is given twice.")
            seen.add(key.value)
            _refuse_repeated_keys(path, value)


def _line_of(root: yaml.Node | None, message: str) -> int:
    """The line that msgspec's message is about; it ends with the path, as in `$.cards[0].place`."""
    where = message.rpartition("at `")[2].rstrip("`") if "at `" in message else "$"
    node = _node_at(root, where)
    unknown = UNKNOWN_FIELD.search(message)
    if unknown and isinstance(node, yaml.MappingNode):
        return next((key.start_mark.line + 1 for key, _ in node.value if key.value == unknown[1]), 1)
    return node.start_mark.line + 1 if node is not None else 1


def _node_at(root: yaml.Node | None, where: str) -> Any:
    """The innermost node on a path that there is."""
    node = root
    for key, index in STEP.findall(where):
        if isinstance(node, yaml.MappingNode):
            found = next((value for name, value in node.value if name.value == key), None)
        elif isinstance(node, yaml.SequenceNode) and index.isdecimal():
            found = node.value[int(index)] if int(index) < len(node.value) else None
        else:
            found = None
        if found is None:
            return node
        node = found
    return node
