"""A dashboard of Metabase as a file: the way back, for one that was drawn by hand or changed there.

What a file cannot say is refused, with the card's name: nothing is left out in silence.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from pipeline.core.errors import MetabaseError
from workbench.metabase import answers
from workbench.metabase.client import Metabase
from workbench.metabase.resources import Card, Dashboard, Parameter, Path, Placed

REMEDY = "Change it in Metabase, or write the file by hand; docs/dashboards.md lists what a file may say."
LINE_LENGTH = 118


class Block(str):
    """Text of several lines, written as such."""


class Flow(dict[str, Any]):
    """A mapping that is written on one line."""


class Writer(yaml.SafeDumper):
    """YAML as the files beside it are written."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - the base decides
        """Indent lists within mappings."""
        super().increase_indent(flow, False)


Writer.add_representer(Block, lambda writer, text: writer.represent_scalar("tag:yaml.org,2002:str", text, style="|"))
Writer.add_representer(
    Flow, lambda writer, items: writer.represent_mapping("tag:yaml.org,2002:map", items.items(), flow_style=True)
)


def export(metabase: Metabase, dashboard_id: int) -> str:
    """The file of a dashboard, as YAML. Raises MetabaseError naming what a file cannot say."""
    document = metabase.get(f"/api/dashboard/{dashboard_id}")
    numbers = {each["card_id"] for each in document.get("dashcards") or [] if each.get("card_id") is not None}
    cards: dict[Path, Card] = {("card", str(number)): _card(metabase, number) for number in sorted(numbers)}
    dashboard = answers.dashboard_of(document, (), lambda number: ("card", str(number)))
    if dashboard.tabs:
        raise MetabaseError(f"Dashboard {dashboard_id} has tabs, which a file cannot say.", remedy=REMEDY)
    return _written(dashboard, cards)


def _card(metabase: Metabase, number: int) -> Card:
    document = metabase.get(f"/api/card/{number}?legacy-mbql=true")
    card = answers.card_of(document, (), "")
    if not card.sql:
        raise MetabaseError(f"Card {number}, {document['name']!r}, is not made of SQL.", remedy=REMEDY)
    return card


def _written(dashboard: Dashboard, cards: dict[Path, Card]) -> str:
    document: dict[str, Any] = {
        "title": dashboard.path[-1],
        "audience": "customers" if dashboard.embedded else "staff",
        "description": dashboard.description or dashboard.path[-1],
    }
    declared = [each for each in dashboard.parameters if dashboard.embedding.get(each.slug) != "locked"]
    if declared:
        document["parameters"] = [Flow(_parameter(each)) for each in declared]
    slugs = {each.id: each.slug for each in dashboard.parameters}
    document["cards"] = [_placed(each, cards.get(each.card), slugs) for each in dashboard.cards]
    return yaml.dump(document, Dumper=Writer, sort_keys=False, allow_unicode=True, width=LINE_LENGTH)


def _parameter(parameter: Parameter) -> dict[str, Any]:
    told = {"slug": parameter.slug, "name": parameter.name, "type": parameter.type, "default": parameter.default}
    if parameter.values:
        told["values"] = list(parameter.values)
    return {name: value for name, value in told.items() if value is not None}


def _placed(placed: Placed, card: Card | None, slugs: dict[str, str]) -> dict[str, Any]:
    if card is None:
        raise MetabaseError(f"At row {placed.row}, column {placed.column} there is no question.", remedy=REMEDY)
    name = card.path[-1]
    if placed.others or placed.settings:
        raise MetabaseError(f"Card {name!r} looks otherwise on the dashboard than by itself.", remedy=REMEDY)
    if foreign := [wire.tag for wire in placed.mappings if slugs.get(wire.parameter) != wire.tag]:
        raise MetabaseError(f"In card {name!r} the tag {foreign[0]!r} takes a filter of another name.", remedy=REMEDY)
    if unwired := {tag.name for tag in card.tags} - {wire.tag for wire in placed.mappings}:
        raise MetabaseError(f"In card {name!r} the tag {min(unwired)!r} takes no filter.", remedy=REMEDY)
    document: dict[str, Any] = {"name": name}
    if card.description:
        document["description"] = card.description
    place = {"row": placed.row, "column": placed.column, "width": placed.width, "height": placed.height}
    document |= {"display": card.display, "place": Flow(place), "sql": Block(card.sql)}
    if card.settings:
        document["settings"] = msgspec.to_builtins(card.settings)
    return document
