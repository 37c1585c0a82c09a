"""Collections, cards and dashboards of the fake Metabase: making, changing and telling them."""

from __future__ import annotations

import copy
from typing import Any

from tests.fakes.metabase.store import Document, Refused, Store, declared, found

COLLECTION_KEYS = ("name", "description", "parent_id", "authority_level", "archived")
CARD_KEYS = (
    *("name", "description", "dataset_query", "display", "visualization_settings", "type", "collection_id"),
    *("parameters", "entity_id", "dashboard_id"),
)
EMBEDDING_KEYS = ("enable_embedding", "embedding_params", "embedding_type")
DASHBOARD_KEYS = ("name", "description", "parameters", "collection_id", "collection_position", "cache_ttl")
DASHCARD_KEYS = (
    *("id", "card_id", "size_x", "size_y", "row", "col", "parameter_mappings", "visualization_settings"),
    *("series", "dashboard_tab_id", "inline_parameters"),
)
PARAMETER_KEYS = (
    *("id", "name", "slug", "type", "sectionId", "default", "required"),
    *("values_source_type", "values_source_config"),
)


# ------------------------------------------------------------------ collections


def make_collection(store: Store, body: object) -> Document:
    """Add one."""
    given = declared(body, COLLECTION_KEYS, required=("name",))
    if given.get("authority_level"):
        raise Refused(402, "Official Collections is a paid feature not currently available to your instance.")
    if given.get("parent_id") is not None:
        found(store.collections, given["parent_id"])
    document = {"description": None, "parent_id": None, **given, "id": next(store.numbers), "archived": False}
    store.collections[document["id"]] = document
    return copy.deepcopy(document)


def change_collection(store: Store, number: int, body: object) -> Document:
    """Change one."""
    document = found(store.collections, number)
    document.update(declared(body, COLLECTION_KEYS))
    return copy.deepcopy(document)


def items(store: Store, collection: int | None, models: list[str]) -> Document:
    """What lies in one, without what was thrown away."""
    data: list[Document] = []
    kept = (("card", store.cards), ("dashboard", store.dashboards), ("collection", store.collections))
    for model, documents in kept:
        where = "parent_id" if model == "collection" else "collection_id"
        data += [
            {"id": each["id"], "name": each["name"], "description": each.get("description"), "model": model}
            for each in documents.values()
            if each.get(where) == collection and not each.get("archived") and (not models or model in models)
        ]
    return {"data": data, "total": len(data), "limit": None, "offset": None}


# ------------------------------------------------------------------ cards


def make_card(store: Store, body: object) -> Document:
    """Add one. Publishing it is not part of that."""
    given = declared(body, CARD_KEYS, required=("name", "dataset_query", "display", "visualization_settings"))
    if "description" in given and not str(given["description"] or "").strip():
        raise Refused(400, {"errors": {"description": "nullable value must be a non-blank string."}})
    number = next(store.numbers)
    document = {"description": None, "type": "question", "enable_embedding": False, "archived": False, **given}
    store.cards[number] = document | {"id": number, "entity_id": f"entity-{number:014}"}
    store.cards[number]["dataset_query"] = stored_query(given["dataset_query"])
    return told_card(store.cards[number])


def change_card(store: Store, number: int, body: object) -> Document:
    """Change one."""
    document, given = found(store.cards, number), declared(body, (*CARD_KEYS, *EMBEDDING_KEYS, "archived"))
    _require_embedding(store, document, given)
    if "dataset_query" in given:
        given["dataset_query"] = stored_query(given["dataset_query"])
    document.update(given)
    return told_card(document)


def told_card(document: Document, *, legacy: bool = False) -> Document:
    """As it is kept; or with the query as it was sent, in a shape that is on its way out."""
    told = copy.deepcopy(document)
    told["database_id"] = told["dataset_query"]["database"]
    if legacy:
        told["dataset_query"] = sent_query(told["dataset_query"])
    return told


def stored_query(query: Document) -> Document:
    """A query in the shape of MBQL 5."""
    if query.get("type") != "native":
        return copy.deepcopy(query)
    native = query["native"]
    stage = {"lib/type": "mbql.stage/native", "native": native["query"]}
    stage["template-tags"] = copy.deepcopy(native.get("template-tags", {}))
    return {"lib/type": "mbql/query", "database": query["database"], "stages": [stage]}


def sent_query(query: Document) -> Document:
    """The same in the older shape."""
    if "stages" not in query:
        return query
    (stage,) = query["stages"]
    native = {"query": stage["native"], "template-tags": stage["template-tags"]}
    return {"type": "native", "database": query["database"], "native": native}


# ------------------------------------------------------------------ dashboards


def make_dashboard(store: Store, body: object) -> Document:
    """Add one: it is empty, whatever was sent."""
    given = declared(body, DASHBOARD_KEYS, required=("name",))
    number = next(store.numbers)
    document = {"description": None, "parameters": [], **given, "enable_embedding": False, "embedding_params": None}
    document["parameters"] = _parameters(document["parameters"])
    store.dashboards[number] = document | {"id": number, "dashcards": [], "tabs": [], "archived": False}
    return told_dashboard(store, store.dashboards[number])


def change_dashboard(store: Store, number: int, body: object) -> Document:
    """Change one: its cards become those that are sent, and no others."""
    keys = (*DASHBOARD_KEYS, *EMBEDDING_KEYS, "dashcards", "tabs", "archived")
    document, given = found(store.dashboards, number), declared(body, keys)
    _require_embedding(store, document, given)
    if "parameters" in given:
        given["parameters"] = _parameters(given["parameters"])
    if "dashcards" in given:
        given["dashcards"] = _dashcards(store, document, given["dashcards"], tabs=bool(given.get("tabs")))
    document.update(given)
    return told_dashboard(store, document)


def told_dashboard(store: Store, document: Document) -> Document:
    """With the cards that are on it."""
    told = copy.deepcopy(document)
    for dashcard in told["dashcards"]:
        card = store.cards.get(dashcard.get("card_id"))
        dashcard["card"] = told_card(card) if card else None
    return told


def _parameters(given: list[Document]) -> list[Document]:
    return [declared(each, PARAMETER_KEYS, required=("id", "type")) for each in given]


def _dashcards(store: Store, document: Document, given: list[Any], *, tabs: bool) -> list[Document]:
    kept = {each["id"] for each in document["dashcards"]}
    numbers = [each.get("id") for each in given]
    if len(set(numbers)) != len(numbers):
        raise Refused(400, {"errors": {"dashcards": "ids must be unique"}})
    dashcards = []
    for each in given:
        dashcard = declared(each, DASHCARD_KEYS, required=("id", "size_x", "size_y", "row", "col"))
        if dashcard["size_x"] < 1 or dashcard["size_y"] < 1 or dashcard["row"] < 0 or dashcard["col"] < 0:
            raise Refused(400, {"errors": {"dashcards": "value must be an integer greater than zero."}})
        if tabs and dashcard.get("dashboard_tab_id") is None:
            raise Refused(400, "This dashboard has tab, makes sure every card has a tab")
        if dashcard["id"] < 0:
            dashcard["id"] = next(store.numbers)
        elif dashcard["id"] not in kept:
            raise Refused(404, "Not found.")
        if dashcard.get("card_id") is not None:
            found(store.cards, dashcard["card_id"])
        dashcards.append({"parameter_mappings": [], "visualization_settings": {}, "series": [], **dashcard})
    return dashcards


def _require_embedding(store: Store, document: Document, given: Document) -> None:
    """Whoever publishes needs embedding to be on, and names states that there are."""
    changes = any(key in given and given[key] != document.get(key) for key in EMBEDDING_KEYS)
    if changes and not store.is_embedding_on():
        raise Refused(400, "Embedding is not enabled.")
    states = set((given.get("embedding_params") or {}).values())
    if not states <= {"disabled", "enabled", "locked"}:
        raise Refused(400, {"errors": {"embedding_params": "value must be a valid embedding params map."}})
