"""What every notebook opens with: whose data it shows, its head, and a designed screen for what can go wrong.

It decides nothing about access: who is signed in stands in the request, put there by the server's guard, and
what that tenant may read is the database's own rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from typing import Any, TypeVar

import marimo as mo

from pipeline.core.errors import WorkbenchError
from workbench.session import ConnectionLost, Source, SourceError, TooManyConnections, TooManyRows, Workbench, registry

T = TypeVar("T")

MOMENT = "%-d %b %Y, %H:%M UTC"
HOME = '<a href="../../">All notebooks</a>'
"""From a notebook's address on the server to the page that lists them."""
AGAIN = "Reload the page to try again."


class NoTenant(WorkbenchError):
    """There is no tenant whose data this page could show."""


def workbench_of(request: Any) -> Workbench:
    """The workbench of a request's tenant; without a server, that of the address in the environment.

    An analyst reads the own tenant, whatever the address says; an admin the one of `?tenant=`. Where there is
    none, or it cannot be opened, the calling cell and those after it stop, and show why.
    """
    open_registry = registry.current()
    if open_registry is None:
        return or_stop(Workbench.connect)
    return or_stop(lambda: open_registry.workbench(tenant_of(request)))


def tenant_of(request: Any) -> str:
    """The tenant that a request's user reads. Raises NoTenant."""
    user = getattr(request, "user", None)
    if not isinstance(user, Mapping):
        raise NoTenant("Nobody is signed in.", remedy="Sign in, then open the page again.")
    if user["role"] == "analyst" and user["tenant_id"]:
        return str(user["tenant_id"])
    if user["role"] != "admin":
        raise NoTenant(
            f"As {user['role']} you read the quality of all tenants, but no tenant's usage.",
            remedy="Open the Quality notebook.",
        )
    chosen = [tenant for tenant in request.query_params.get("tenant", []) if tenant]
    if not chosen:
        raise NoTenant("No tenant is chosen.", remedy="Add ?tenant= and its id to the address, or choose it at home.")
    return str(chosen[-1])


def or_stop(read: Callable[[], T]) -> T:
    """What `read` answers; if it fails in a way that people can do something about, the cell stops and shows it."""
    try:
        return read()
    except WorkbenchError as error:
        mo.stop(True, screen_of(error))
        raise


def stop_if_empty(wb: Source) -> None:
    """End the calling cell, and those after it, where nothing of the tenant is published yet."""
    mo.stop(or_stop(wb.freshness).as_of is None, empty(wb))


def header(wb: Source, title: str, question: str) -> mo.Html:
    """The head of a page: its question, whose data it shows and of when, and a banner if newer data is held."""
    fresh = or_stop(wb.freshness)
    told = f"Data up to {_moment(fresh.as_of)}" if fresh.as_of else "No data yet"
    promotion = f"<span>Promotion {fresh.promotion_id}</span>" if fresh.promotion_id is not None else ""
    held = held_banner(fresh.held_since) if fresh.held else ""
    return mo.Html(
        f'<header class="wb-head"><div class="wb-facts">{way_home()}<b>{escape(wb.display_name)}</b>'
        f"<span>{told}</span>{promotion}</div><h1>{escape(title)}</h1><p>{escape(question)}</p></header>{held}"
    )


def way_home() -> str:
    """HTML that leads back to the list of notebooks, where a server has one."""
    return HOME if registry.current() is not None else ""


def held_banner(since: datetime | None) -> str:
    """HTML that says that newer data is held back by the checks."""
    when = f" since {_moment(since)}" if since else ""
    return (
        f'<aside class="wb-banner" role="status"><b>Newer data is held back{when}.</b> '
        "It did not pass its checks. What you see is the last state that did; a data steward decides about the rest."
        "</aside>"
    )


def screen_of(error: WorkbenchError) -> mo.Html:
    """The designed screen of a failure."""
    if isinstance(error, ConnectionLost | TooManyConnections):
        return lost_connection(error)
    if isinstance(error, TooManyRows):
        return too_much(error)
    title = "This cannot be read" if isinstance(error, SourceError) else "This page cannot be shown"
    return screen(title, error.message, error.remedy, tone="bad")


def empty(wb: Source, told: str | None = None) -> mo.Html:
    """Nothing to show: nothing is published yet, or `told` says of what there is nothing."""
    if told is not None:
        return screen("Nothing here", told, "Choose a longer period, or another selection.")
    return screen(
        "Waiting for the first events",
        f"Nothing of {wb.display_name} is published yet. Events appear here after the first promotion that follows "
        "their arrival, usually within the hour.",
        "If events were sent already, ask a data steward whether they are held back.",
    )


def lost_connection(error: WorkbenchError) -> mo.Html:
    """The database does not answer, or has no connection left."""
    return screen("The data is out of reach", error.message, error.remedy or AGAIN, tone="bad")


def too_much(error: WorkbenchError) -> mo.Html:
    """An answer larger than what a page takes."""
    return screen("That is more than a page can hold", error.message, error.remedy or "Ask for less.", tone="warn")


def screen(title: str, told: str, remedy: str | None = None, *, tone: str = "plain") -> mo.Html:
    """A designed screen: what is the matter, and what to do about it. `tone` is plain, warn or bad."""
    aside = f"<p>{escape(remedy)}</p>" if remedy else ""
    role = "alert" if tone == "bad" else "status"
    return mo.Html(
        f'<section class="wb-screen wb-{escape(tone)}" role="{role}"><h2>{escape(title)}</h2>'
        f'<p class="wb-what">{escape(told)}</p>{aside}</section>'
    )


def controls(*elements: Any) -> mo.Html:
    """Inputs in a row that wraps."""
    return mo.Html(f'<div class="wb-controls">{"".join(mo.as_html(element).text for element in elements)}</div>')


def card(title: str, *contents: Any, note: str = "") -> mo.Html:
    """A titled sheet with charts, tables, HTML or inputs on it. `note` says below the title what is counted."""
    told = f'<p class="wb-note">{escape(note)}</p>' if note else ""
    inner = "".join(mo.as_html(content).text for content in contents)
    return mo.Html(f'<section class="wb-card"><h2>{escape(title)}</h2>{told}{inner}</section>')


def grid(*cards: mo.Html) -> mo.Html:
    """Cards side by side where there is room, else below each other."""
    return mo.Html(f'<div class="wb-grid">{"".join(card.text for card in cards)}</div>')


def _moment(moment: datetime) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment.strftime(MOMENT)}</time>'
