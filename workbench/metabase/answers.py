"""Metabase's documents as our values; whatever it adds for itself is left aside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workbench.metabase.desired import LOCALHOST, in_order
from workbench.metabase.resources import (
    Card,
    Collection,
    Connection,
    Dashboard,
    Parameter,
    Path,
    Placed,
    Tag,
    Wire,
)

Document = Mapping[str, Any]
CardPath = Callable[[int | None], Path]
INCLUSION = "inclusion"
STATIC_LIST = "static-list"


def origins_of(value: object) -> object:
    """Origins as they were given: Metabase adds one of its own, and keeps the order."""
    if not isinstance(value, str):
        return value
    return " ".join(sorted(origin for origin in value.split() if origin != LOCALHOST))


def connection_of(document: Document, *, answers: bool) -> Connection:
    """A database."""
    details = document.get("details") or {}
    filtered = details.get("schema-filters-type") == INCLUSION
    return Connection(
        name=document["name"],
        host=str(details.get("host", "")),
        port=int(details.get("port") or 0),
        dbname=str(details.get("dbname", "")),
        user=str(details.get("user", "")),
        schemas=str(details.get("schema-filters-patterns", "")) if filtered else "",
        ssl=bool(details.get("ssl")),
        is_full_sync=bool(document.get("is_full_sync")),
        auto_run_queries=bool(document.get("auto_run_queries")),
        answers=answers,
    )


def collection_of(document: Document, path: Path) -> Collection:
    """A folder."""
    return Collection(path=path, description=document.get("description"))


def card_of(document: Document, folder: Path, database: str) -> Card:
    """A question; one that is no SQL has none."""
    sql, tags = native_query(document.get("dataset_query") or {})
    return Card(
        path=(*folder, document["name"]),
        description=document.get("description") or None,
        database=database,
        sql=sql,
        tags=tuple(_tag(tags[name]) for name in sorted(tags)),
        display=str(document.get("display", "")),
        settings=dict(document.get("visualization_settings") or {}),
        type=str(document.get("type", "question")),
        embedded=bool(document.get("enable_embedding")),
    )


def native_query(query: Document) -> tuple[str, Document]:
    """The SQL and its tags, in either of the shapes that Metabase has for a question."""
    if query.get("type") == "native":
        native = query.get("native") or {}
        return native.get("query", ""), native.get("template-tags") or {}
    stages = query.get("stages") or []
    if len(stages) == 1 and isinstance(stages[0].get("native"), str):
        return stages[0]["native"], stages[0].get("template-tags") or {}
    return "", {}


def dashboard_of(document: Document, folder: Path, card_path: CardPath) -> Dashboard:
    """A dashboard with what is on it."""
    placed = [_placed(each, card_path) for each in document.get("dashcards") or []]
    return Dashboard(
        path=(*folder, document["name"]),
        description=document.get("description") or None,
        parameters=tuple(_parameter(each) for each in document.get("parameters") or []),
        cards=tuple(sorted(placed, key=in_order)),
        embedded=bool(document.get("enable_embedding")),
        embedding=dict(document.get("embedding_params") or {}),
        tabs=len(document.get("tabs") or []),
    )


def _tag(tag: Document) -> Tag:
    return Tag(
        id=str(tag.get("id", "")),
        name=str(tag.get("name", "")),
        display_name=str(tag.get("display-name", "")),
        type=str(tag.get("type", "")),
        default=tag.get("default"),
        required=bool(tag.get("required")),
    )


def _parameter(parameter: Document) -> Parameter:
    values: list[Any] = []
    if parameter.get("values_source_type") == STATIC_LIST:
        values = (parameter.get("values_source_config") or {}).get("values") or []
    return Parameter(
        id=str(parameter["id"]),
        name=str(parameter.get("name", "")),
        slug=str(parameter.get("slug", "")),
        type=str(parameter["type"]),
        default=_alone(parameter.get("default")),
        values=tuple(str(_alone(value)) for value in values),
    )


def _alone(value: object) -> object:
    """A value that Metabase may have put into a list."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _placed(dashcard: Document, card_path: CardPath) -> Placed:
    return Placed(
        card=card_path(dashcard.get("card_id")),
        row=dashcard["row"],
        column=dashcard["col"],
        width=dashcard["size_x"],
        height=dashcard["size_y"],
        mappings=tuple(
            sorted(_wire(each, dashcard.get("card_id")) for each in dashcard.get("parameter_mappings") or [])
        ),
        settings=dict(dashcard.get("visualization_settings") or {}),
        others=len(dashcard.get("series") or []),
    )


def _wire(mapping: Document, card_id: object) -> Wire:
    """The filter of a tag; a target of another sort, or of another card, is told as it is."""
    target = mapping.get("target")
    sort, tag = _without_options(target)
    if sort == "variable":
        sort, name = _without_options(tag)
        if sort == "template-tag" and mapping.get("card_id", card_id) == card_id:
            return Wire(parameter=str(mapping.get("parameter_id", "")), tag=str(name))
    return Wire(parameter=str(mapping.get("parameter_id", "")), tag=f"{target} of card {mapping.get('card_id')}")


def _without_options(clause: object) -> tuple[object, object]:
    """The two words of a clause; newer releases put options between or after them."""
    words = [word for word in clause if not isinstance(word, dict)] if isinstance(clause, list) else []
    return (words[0], words[1]) if len(words) == 2 else (None, None)
