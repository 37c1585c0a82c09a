"""Embedded dashboards as the fake Metabase serves them: the token is all that it believes.

A token is verified by hand, as facts of Metabase's source say, not by the library that makes ours. A card's SQL is
run on the real database, with tags as values of a prepared statement, as the driver of Metabase does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.string import StrDumperVarchar

from tests.fakes.metabase.databases import connect
from tests.fakes.metabase.store import Document, Refused, Store, found

LEEWAY_SECONDS = 60
MOST_ROWS = 2_000
FAILED = "An error occurred while running the query."
BRACKETS = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
TAG = re.compile(r"\{\{\s*([\w-]+)\s*\}\}")


def unsign(store: Store, token: str) -> Document:
    """The claims of a token. Raises Refused in Metabase's words."""
    try:
        header, claims, signature = (_decoded(part) for part in token.split("."))
        algorithm, told = json.loads(header).get("alg"), json.loads(claims)
    except (ValueError, binascii.Error, AttributeError) as error:
        raise Refused(400, "Message seems corrupt or manipulated") from error
    if not algorithm:
        raise Refused(400, "JWT is missing `alg`.")
    if algorithm == "none":
        raise Refused(400, "JWT `alg` cannot be `none`.")
    secret = store.setting("embedding-secret-key")
    if not secret:
        raise Refused(400, "The embedding secret key has not been set.")
    signed = token.rpartition(".")[0].encode()
    if algorithm != "HS256" or not hmac.compare_digest(signature, hmac.digest(secret.encode(), signed, hashlib.sha256)):
        raise Refused(400, "Message seems corrupt or manipulated")
    now = time.time()
    if "exp" in told and told["exp"] <= now - LEEWAY_SECONDS:
        raise Refused(400, f"Token is expired ({told['exp']})")
    if told.get("iat", now) > now + LEEWAY_SECONDS or told.get("nbf", now) > now + LEEWAY_SECONDS:
        raise Refused(400, "Token is older than max-age")
    return dict(told)


def dashboard_of(store: Store, token: str) -> tuple[Document, Document]:
    """The dashboard that a token is for, and the values that it gives."""
    claims = unsign(store, token)
    number = (claims.get("resource") or {}).get("dashboard")
    if number is None:
        raise Refused(400, "Token is missing value for keypath [:resource :dashboard]")
    if claims.get("params") is None:
        raise Refused(400, "Token is missing value for keypath [:params]")
    if not store.is_embedding_on():
        raise Refused(400, "Embedding is not enabled.")
    dashboard = found(store.dashboards, number)
    if dashboard["archived"]:
        raise Refused(404, "The object has been archived.")
    if not dashboard["enable_embedding"]:
        raise Refused(400, "Embedding is not enabled for this object.")
    return dashboard, claims["params"]


def shown(store: Store, token: str) -> Document:
    """What a viewer gets first: the cards, and the filters that are free."""
    dashboard, params = dashboard_of(store, token)
    states = dashboard["embedding_params"] or {}
    _require_allowed(states, params, {})
    return {
        "name": dashboard["name"],
        "description": dashboard["description"],
        "parameters": [each for each in dashboard["parameters"] if states.get(each["slug"]) == "enabled"],
        "dashcards": [
            {"id": each["id"], "card_id": each["card_id"], "card": {"name": store.cards[each["card_id"]]["name"]}}
            for each in dashboard["dashcards"]
            if each.get("card_id") in store.cards
        ],
    }


def answer(store: Store, token: str, dashcard_id: int, card_id: int, given: Mapping[str, Any]) -> Document:
    """A card's rows, for the values of the token and those that the viewer chose."""
    dashboard, params = dashboard_of(store, token)
    _require_allowed(dashboard["embedding_params"] or {}, params, given)
    values = {slug: value or None for slug, value in ({**given, **params}).items()}
    dashcard = next((each for each in dashboard["dashcards"] if each["id"] == dashcard_id), None)
    if dashcard is None or dashcard.get("card_id") != card_id:
        raise Refused(404, "Not found.")
    slugs = {each["id"]: each["slug"] for each in dashboard["parameters"]}
    defaults = {each["slug"]: each.get("default") for each in dashboard["parameters"]}
    tags: Document = {}
    for mapping in dashcard["parameter_mappings"]:
        slug = slugs.get(mapping["parameter_id"])
        if slug is not None:
            value = values.get(slug) if slug in values else defaults.get(slug)
            tags[mapping["target"][1][1]] = value
    return run(store, store.cards[card_id], tags)


def run(store: Store, card: Document, values: Mapping[str, Any]) -> Document:
    """The answer of a question; one that fails tells a viewer nothing."""
    (stage,) = card["dataset_query"]["stages"]
    declared = stage["template-tags"]
    typed = {tag: _typed(declared[tag]["type"], value) for tag, value in values.items() if tag in declared}
    try:
        statement, arguments = prepared(stage["native"], {k: v for k, v in typed.items() if v is not None})
        rows, columns = _rows(store.databases[card["dataset_query"]["database"]]["details"], statement, arguments)
    except (psycopg.Error, KeyError) as error:
        return {"status": "failed", "error": FAILED, "data": {"rows": [], "cols": []}, "why": str(error)}
    return {"status": "completed", "row_count": len(rows), "data": {"rows": rows, "cols": columns}}


def prepared(sql: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A statement and its values. Raises KeyError for a tag that must have one and has not."""
    kept = BRACKETS.sub(lambda part: part[1] if set(TAG.findall(part[1])) <= values.keys() else "", sql)
    arguments: list[Any] = []

    def place(tag: re.Match[str]) -> str:
        arguments.append(values[tag[1]])
        return f"${len(arguments)}"

    return TAG.sub(place, kept), arguments


def _rows(details: Document, statement: str, arguments: list[Any]) -> tuple[list[list[Any]], list[Document]]:
    with connect(details) as connection:
        connection.adapters.register_dumper(str, StrDumperVarchar)
        cursor = psycopg.RawCursor(connection)
        cursor.execute(statement.encode(), arguments)
        columns = [{"name": column.name} for column in cursor.description or []]
        return [[_plain(value) for value in row] for row in cursor.fetchmany(MOST_ROWS)], columns


def _require_allowed(states: Mapping[str, str], params: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise Refused unless each value comes from where it may. A blank text is no value; an empty list is one."""
    from_token = {slug for slug, value in params.items() if not (isinstance(value, str) and not value.strip())}
    from_viewer = {slug for slug, value in given.items() if not (isinstance(value, str) and not value.strip())}
    for slug, state in states.items():
        if state == "disabled" and slug in from_token | from_viewer:
            raise Refused(400, f"You're not allowed to specify a value for {slug}.")
        if state == "enabled" and slug in from_token & from_viewer:
            raise Refused(400, f"You can't specify a value for {slug} if it's already set in the JWT.")
        if state == "locked" and (slug not in from_token or params[slug] is None):
            raise Refused(400, f"You must specify a value for :{slug} in the JWT.")
        if state == "locked" and slug in from_viewer:
            raise Refused(400, f"You can only specify a value for {slug} in the JWT.")
    for slug in sorted(from_token | from_viewer):
        if slug not in states:
            raise Refused(400, f"Unknown parameter :{slug}.")


def _typed(kind: str, value: Any) -> Any:
    """A value of a tag; several become one text, with commas."""
    if isinstance(value, list):
        value = ",".join(map(str, value)) if value else None
    if value is None:
        return None
    if kind == "date":
        return date.fromisoformat(value)
    return Decimal(str(value)) if kind == "number" else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
