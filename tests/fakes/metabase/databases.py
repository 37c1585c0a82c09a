"""Databases of the fake Metabase: each is connected to before it is kept, and its password is not told."""

from __future__ import annotations

import copy

import psycopg

from tests.fakes.metabase.store import Document, Refused, Store, declared, found

PROTECTED = "**MetabasePass**"
DATABASE_KEYS = ("name", "engine", "details", "is_full_sync", "auto_run_queries", "cache_ttl", "is_stub")


def make_database(store: Store, body: object) -> Document:
    """Add one, once it has been connected to."""
    given = declared(body, DATABASE_KEYS, required=("name", "engine", "details"))
    _refuse_paid_and_stub(given)
    require_connection(given["details"])
    document = {"is_full_sync": True, "auto_run_queries": True, **given, "id": next(store.numbers)}
    store.databases[document["id"]] = document
    return told_database(document)


def change_database(store: Store, number: int, body: object) -> Document:
    """Change one; its details are merged, and connected with if they differ."""
    document, given = found(store.databases, number), declared(body, DATABASE_KEYS)
    _refuse_paid_and_stub(given)
    if "details" in given:
        kept = document["details"]
        details = {**kept, **given["details"]}
        if details.get("password") == PROTECTED:
            details["password"] = kept.get("password")
        if details != kept:
            require_connection(details)
        given["details"] = details
    document.update(given)
    return told_database(document)


def told_database(document: Document) -> Document:
    """Without the password."""
    told = copy.deepcopy(document)
    if "password" in told["details"]:
        told["details"]["password"] = PROTECTED
    return told


def require_connection(details: Document) -> None:
    """Connect. Raises Refused with what the driver says."""
    try:
        connect(details).close()
    except psycopg.Error as error:
        raise Refused(400, {"message": str(error).strip(), "errors": {"host": "check your host settings"}}) from error


def connect(details: Document) -> psycopg.Connection:
    """A connection as the driver would make it: it only reads."""
    return psycopg.connect(
        host=details["host"],
        port=details.get("port"),
        dbname=details["dbname"],
        user=details["user"],
        password=details.get("password") or None,
        connect_timeout=5,
        options="-c timezone=UTC -c default_transaction_read_only=on",
        autocommit=True,
    )


def _refuse_paid_and_stub(given: Document) -> None:
    if given.get("cache_ttl"):
        raise Refused(402, "The cache TTL database setting is only enabled if you have a premium token.")
    if given.get("is_stub"):
        raise Refused(400, {"message": "is_stub may not be set via the API"})
