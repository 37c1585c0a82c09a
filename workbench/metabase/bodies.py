"""What is sent to Metabase to make a thing as it must be. Each body holds what Metabase declares, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.metabase.answers import INCLUSION, STATIC_LIST
from workbench.metabase.resources import Card, Connection, Dashboard, Parameter, Path, Placed

Body = dict[str, Any]
SECTIONS = {"date/single": "date", "number/=": "number", "string/=": "string"}


def connection(wanted: Connection, password: str | None) -> Body:
    """A database, with its password."""
    details: Body = {
        "host": wanted.host,
        "port": wanted.port,
        "dbname": wanted.dbname,
        "user": wanted.user,
        "password": password or "",
        "ssl": wanted.ssl,
        "schema-filters-type": INCLUSION,
        "schema-filters-patterns": wanted.schemas,
    }
    return {
        "name": wanted.name,
        "engine": "postgres",
        "details": details,
        "is_full_sync": wanted.is_full_sync,
        "auto_run_queries": wanted.auto_run_queries,
    }


def card(wanted: Card, *, database: int, collection: int) -> Body:
    """A question."""
    tags = {
        tag.name: {"id": tag.id, "name": tag.name, "display-name": tag.display_name, "type": tag.type}
        for tag in wanted.tags
    }
    native = {"query": wanted.sql, "template-tags": tags}
    body: Body = {
        "name": wanted.path[-1],
        "type": wanted.type,
        "display": wanted.display,
        "dataset_query": {"type": "native", "database": database, "native": native},
        "visualization_settings": wanted.settings,
        "collection_id": collection,
    }
    # Metabase takes no blank description when it makes a card, and none at all is how one is taken away.
    return body if wanted.description is None else body | {"description": wanted.description}


def dashboard(wanted: Dashboard, *, collection: int) -> Body:
    """A dashboard as it is made: empty."""
    return {"name": wanted.path[-1], "description": wanted.description, "collection_id": collection}


def dashboard_content(wanted: Dashboard, *, cards: Mapping[Path, int], places: Mapping[Path, int]) -> Body:
    """All of a dashboard. `places` are those that its cards have already; new ones have negative numbers."""
    return {
        "description": wanted.description,
        "parameters": [_parameter(each) for each in wanted.parameters],
        "dashcards": [
            _dashcard(each, cards[each.card], places.get(each.card, -1 - index))
            for index, each in enumerate(wanted.cards)
        ],
        "tabs": [],
        "enable_embedding": wanted.embedded,
        "embedding_params": wanted.embedding,
    }


def _parameter(parameter: Parameter) -> Body:
    body: Body = {
        "id": parameter.id,
        "name": parameter.name,
        "slug": parameter.slug,
        "type": parameter.type,
        "sectionId": SECTIONS[parameter.type],
    }
    if parameter.default is not None:
        body["default"] = parameter.default
    if parameter.values:
        body |= {
            "values_query_type": "list",
            "values_source_type": STATIC_LIST,
            "values_source_config": {"values": list(parameter.values)},
        }
    return body


def _dashcard(placed: Placed, card_id: int, number: int) -> Body:
    return {
        "id": number,
        "card_id": card_id,
        "row": placed.row,
        "col": placed.column,
        "size_x": placed.width,
        "size_y": placed.height,
        "series": [],
        "visualization_settings": placed.settings,
        "parameter_mappings": [
            {
                "parameter_id": mapping.parameter,
                "card_id": card_id,
                "target": ["variable", ["template-tag", mapping.tag]],
            }
            for mapping in placed.mappings
        ],
    }
