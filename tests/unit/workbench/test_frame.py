"""What every notebook opens with: whose data it shows, its head, and its screens."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import marimo as mo
import pytest

from pipeline.core.errors import TenantError
from workbench.notebooks import features, frame, overview
from workbench.session import (
    ConnectionLost,
    Freshness,
    Source,
    StatementRefused,
    TooManyConnections,
    TooManyRows,
    registry,
)

Stopped = mo.MarimoStopError
AS_OF = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


def source(**overrides: Any) -> Source:
    """A tenant with published data."""
    fields: dict[str, Any] = {"promotion_id": 7, "as_of": AS_OF, "held": False, "held_since": None} | overrides
    return cast(
        Source, SimpleNamespace(tenant_id="acme", display_name="Acme & <Sons>", freshness=lambda: Freshness(**fields))
    )


def request(role: str | None, own: str | None = None, /, **query: str) -> SimpleNamespace:
    """A request as marimo hands it on; of nobody without a role."""
    user = None if role is None else {"user_id": "1", "email": "a@b", "role": role, "tenant_id": own}
    return SimpleNamespace(user=user, query_params={name: [value] for name, value in query.items()})


def test_an_analyst_reads_the_own_tenant_whatever_the_address_says() -> None:
    assert frame.tenant_of(request("analyst", "acme", tenant="globex")) == "acme"


def test_an_admin_reads_the_tenant_of_the_address() -> None:
    assert frame.tenant_of(request("admin", tenant="globex")) == "globex"


@pytest.mark.parametrize(
    "asking",
    [
        None,
        request(None),
        request(None, tenant="acme"),
        request("steward", tenant="acme"),
        request("analyst", None, tenant="acme"),
        request("owner", "acme", tenant="acme"),
        request("admin"),
        request("admin", tenant=""),
    ],
    ids=["no request", "nobody", "nobody of a tenant", "steward", "no tenant", "unknown role", "no choice", "empty"],
)
def test_who_has_no_tenant_reads_none(asking: Any) -> None:
    with pytest.raises(frame.NoTenant):
        frame.tenant_of(asking)


@pytest.fixture
def installed() -> Iterator[Callable[[Callable[[str], Any]], None]]:
    """Makes a registry the process's own for the test."""
    yield lambda open_one: cast(None, registry.install(open_one))
    registry.uninstall()


def test_the_registry_opens_the_workbench_of_the_requests_tenant(installed: Callable[..., None]) -> None:
    opened: list[str] = []

    def open_one(tenant_id: str) -> Any:
        opened.append(tenant_id)
        return SimpleNamespace(tenant_id=tenant_id, close=lambda: None)

    installed(open_one)
    assert frame.workbench_of(request("analyst", "acme")).tenant_id == "acme"
    assert opened == ["acme"]


def test_a_cell_stops_with_a_screen_where_no_workbench_can_be_opened(installed: Callable[..., None]) -> None:
    def open_one(_tenant_id: str) -> Any:
        raise TenantError("There is no tenant ghost.")

    installed(open_one)
    with pytest.raises(Stopped) as stopped:
        frame.workbench_of(request("admin", tenant="ghost"))
    assert "There is no tenant ghost." in _output(stopped)


def test_a_page_says_whose_data_it_shows_and_of_when() -> None:
    html = frame.header(source(), "Overview", "How much?").text
    assert "<b>Acme &amp; &lt;Sons&gt;</b>" in html
    assert '<time datetime="2026-03-02T10:30:00+00:00">2 Mar 2026, 10:30 UTC</time>' in html
    assert "Promotion 7" in html
    assert "<h1>Overview</h1><p>How much?</p>" in html
    assert "wb-banner" not in html


def test_the_head_leads_back_to_the_list_of_notebooks_where_there_is_one() -> None:
    assert "All notebooks" not in frame.header(source(), "Overview", "How much?").text
    registry.install(lambda tenant_id: pytest.fail(f"{tenant_id} is not to be opened"))
    try:
        assert '<a href="../../">All notebooks</a>' in frame.header(source(), "Overview", "How much?").text
    finally:
        registry.uninstall()


def test_a_held_tenant_is_told_since_when() -> None:
    html = frame.header(source(held=True, held_since=AS_OF), "Overview", "How much?").text
    assert "Newer data is held back since" in html


def test_a_tenant_without_data_has_a_head_too() -> None:
    html = frame.header(source(promotion_id=None, as_of=None), "Overview", "How much?").text
    assert "No data yet" in html
    assert "Promotion" not in html


def test_only_a_tenant_without_data_stops_a_page() -> None:
    frame.stop_if_empty(source())
    with pytest.raises(Stopped) as stopped:
        frame.stop_if_empty(source(promotion_id=None, as_of=None))
    assert "Waiting for the first events" in _output(stopped)
    assert "Acme &amp; &lt;Sons&gt;" in _output(stopped)


@pytest.mark.parametrize(
    ("error", "title", "role"),
    [
        (ConnectionLost("It went <away>."), "The data is out of reach", "alert"),
        (TooManyConnections("All at work."), "The data is out of reach", "alert"),
        (TooManyRows("More than 5 rows."), "That is more than a page can hold", "status"),
        (StatementRefused("Not that."), "This cannot be read", "alert"),
        (frame.NoTenant("Nobody.", remedy="Sign in."), "This page cannot be shown", "alert"),
    ],
)
def test_each_failure_has_a_screen_that_says_what_to_do(error: Any, title: str, role: str) -> None:
    html = frame.screen_of(error).text
    assert f"<h2>{title}</h2>" in html
    assert f'role="{role}"' in html
    assert "<away>" not in html
    if error.remedy:
        assert error.remedy in html


def test_what_is_read_is_handed_on_and_what_fails_ends_the_cell() -> None:
    assert frame.or_stop(lambda: 5) == 5

    def lose() -> int:
        raise ConnectionLost("It went away.")

    with pytest.raises(Stopped) as stopped:
        frame.or_stop(lose)
    assert "It went away." in _output(stopped)


def test_a_mistake_of_ours_is_no_screen() -> None:
    with pytest.raises(ZeroDivisionError):
        frame.or_stop(lambda: 1 // 0)


def test_cards_and_controls_hold_what_they_are_given() -> None:
    card = frame.card("A <b>", mo.Html("<p>inside</p>"), note="1 < 2")
    assert "<h2>A &lt;b&gt;</h2>" in card.text
    assert "1 &lt; 2" in card.text
    assert "<p>inside</p>" in frame.grid(card, card).text
    assert "marimo-switch" in frame.controls(mo.ui.switch()).text


@pytest.mark.parametrize("notebook", [overview, features])
def test_a_notebook_tells_its_title_and_question_without_running(notebook: Any) -> None:
    text = ast.get_docstring(ast.parse(Path(notebook.__file__).read_text()))
    assert text == f"{notebook.TITLE}\n\n{notebook.QUESTION}"


def _output(stopped: pytest.ExceptionInfo[mo.MarimoStopError]) -> str:
    return cast(mo.Html, stopped.value.output).text
