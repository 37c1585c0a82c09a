"""Who may do what in the fake Metabase: its setup, sessions, and what it tells of itself."""

from __future__ import annotations

import secrets

from tests.fakes.metabase.store import ATTEMPTS, COMMON_PASSWORDS, Document, Refused, Store, declared

VERSION = {"tag": "v0.65.4", "date": "2026-11-13"}
ONLY_ONCE = "The /api/setup route can only be used to create the first user, however a user currently exists."


def set_up(store: Store, body: object) -> Document:
    """Make the first user, who administers. Tracking is on after it, whatever was set before."""
    if store.users:
        raise Refused(403, ONLY_ONCE)
    given = declared(body, ("token", "user", "prefs", "database"), required=("token", "user", "prefs"))
    user = declared(given["user"], ("email", "password", "first_name", "last_name"), required=("email", "password"))
    prefs = declared(given["prefs"], ("site_name", "site_locale"), required=("site_name",))
    if given["token"] != store.setup_token:
        raise Refused(400, {"errors": {"token": "Token does not match the setup token."}})
    require_strong(user["password"])
    store.setup_token = None
    store.settings |= {"site-name": prefs["site_name"], "anon-tracking-enabled": True, "admin-email": user["email"]}
    add_user(store, user["email"], user["password"], is_superuser=True)
    return _session_of(store, user["email"])


def add_user(store: Store, email: str, password: str, *, is_superuser: bool = False) -> None:
    """Make somebody."""
    store.users[email] = {"password": password, "is_superuser": is_superuser}


def sign_in(store: Store, body: object) -> Document:
    """A session. Who is wrong too often has to wait."""
    given = declared(body, ("username", "password"), required=("username", "password"))
    name = given["username"]
    if store.failures.get(name, 0) >= ATTEMPTS:
        store.failures[name] = 0
        told = "Too many attempts! You must wait 1 seconds before trying again."
        raise Refused(400, {"errors": {"username": told}})
    user = store.users.get(name)
    if user is None or user["password"] != given["password"]:
        store.failures[name] = store.failures.get(name, 0) + 1
        raise Refused(401, {"errors": {"password": "did not match stored password"}})
    return _session_of(store, name)


def require_superuser(store: Store, session: str | None) -> None:
    """Raise Refused unless it is an administrator's session."""
    email = store.sessions.get(session or "")
    if email is None:
        raise Refused(401, "Unauthenticated")
    if not store.users[email]["is_superuser"]:
        raise Refused(403, "You don't have permissions to do that.")


def properties(store: Store, session: str | None) -> Document:
    """What everybody may know; all settings for an administrator, whatever decides them."""
    told: Document = {"version": VERSION, "has-user-setup": bool(store.users), "setup-token": store.setup_token}
    email = store.sessions.get(session or "")
    if email and store.users[email]["is_superuser"]:
        told |= {key: store.setting(key) for key in store.known_settings()}
    return told


def require_strong(password: str) -> None:
    """Raise Refused for a password that Metabase does not take."""
    if password in COMMON_PASSWORDS:
        raise Refused(400, {"errors": {"password": "password is too common."}})
    if len(password) < 6 or not any(character.isdigit() for character in password):
        raise Refused(400, {"errors": {"password": "password is too simple."}})


def _session_of(store: Store, email: str) -> Document:
    session = secrets.token_hex(16)
    store.sessions[session] = email
    return {"id": session}
