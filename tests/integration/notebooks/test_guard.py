"""The session guard in front of real marimo: what it lets through, to whom, and for how long."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marimo._server.api.router import build_routes
from starlette.routing import Mount, Route
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from pipeline.core.notebooks import NotebookSettings
from tests.integration.notebooks import attacks
from tests.integration.notebooks.attacks import connected, file_address, must_hear, new_id, set_word
from tests.integration.notebooks.served import Target, ours
from tests.unit.workbench.serving.people import person

CALLED_BY_READERS = {
    "/api/kernel/set_ui_element_value",
    "/api/kernel/set_model_value",
    "/api/kernel/function_call",
    "/api/export/html",
}
PAGE = {"/", "/health", "/public-files-sw.js"}
QUALITY = attacks.ROWS.replace('"""Rows.', '"""Quality.')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three notebooks: two of a tenant's rows, one for stewards."""
    return attacks.write_notebooks(
        tmp_path_factory.mktemp("notebooks"), rows=attacks.ROWS, other=attacks.ROWS, quality=QUALITY
    )


@pytest.fixture(scope="module")
def target(folder: Path) -> Iterator[Target]:
    """Our server."""
    with ours(folder) as target:
        yield target


def closing(socket: ClientConnection) -> int:
    """The code with which a server closes a socket."""
    try:
        while True:
            socket.recv(timeout=attacks.DEADLINE_SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    ends = time.monotonic() + attacks.DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < ends, "it did not come to be"
        time.sleep(0.02)


def running(target: Target) -> int:
    """How many notebooks run."""
    assert target.app is not None
    return target.app.kernels.count()


def test_a_notebook_works_for_who_may_open_it(target: Target) -> None:
    mine = new_id()
    with connected(target, "rows", "acme", mine) as socket:
        said = must_hear(socket, "secret of acme, word []")
        said += must_hear(socket, "@file/")
        assert set_word(target, "rows", "acme", mine, said, "hello").status_code == 200
        must_hear(socket, "word [hello]")
        with target.client("acme") as client:
            got = client.get(target.notebook("rows") + file_address(said))
            assert (got.status_code, got.text) == (200, "file of acme")
            assert got.headers["cache-control"] == "private, no-store"


def test_who_lost_the_connection_comes_back_to_the_same_session(target: Target) -> None:
    mine = new_id()
    with connected(target, "rows", "acme", mine) as socket:
        said = must_hear(socket, "secret of acme")
    with connected(target, "rows", "acme", mine) as socket:
        must_hear(socket, '"reconnected"')
        assert set_word(target, "rows", "acme", mine, said, "again").status_code == 200
        must_hear(socket, "word [again]")


@pytest.mark.parametrize("who", ["globex", "acme.second", "admin"])
def test_the_same_id_is_another_session_for_anybody_else(target: Target, who: str) -> None:
    """Of another tenant, of the same one, and for an admin who reads that tenant."""
    same = new_id()
    tenant = "globex" if who == "globex" else "acme"
    query = {"tenant": "acme"} if who == "admin" else {}
    with connected(target, "rows", "acme", same) as first:
        said = must_hear(first, "secret of acme")
        with connected(target, "rows", who, same, **query) as second:
            must_hear(second, f"secret of {tenant}, word []")
            assert set_word(target, "rows", who, same, said, "of the second").status_code == 200
            must_hear(second, "word [of the second]")
            assert set_word(target, "rows", "acme", same, said, "of the first").status_code == 200
            assert "of the second" not in must_hear(first, "word [of the first]")


def test_the_same_person_signed_in_twice_has_two_sessions(target: Target) -> None:
    same = new_id()
    token = target.people.signed_in("acme@example.com").token
    with connected(target, "rows", "acme", same) as socket:
        said = must_hear(socket, "secret of acme")
        with target.client("acme") as client:
            client.headers["cookie"] = f"workbench_sign_in={token}"
            address = f"{target.notebook('rows')}api/kernel/set_ui_element_value"
            assert client.post(address, json={}, headers={"marimo-session-id": same}).status_code == 403
        assert set_word(target, "rows", "acme", same, said, "mine").status_code == 200


def test_a_session_of_one_notebook_is_none_of_another(target: Target) -> None:
    mine = new_id()
    with connected(target, "rows", "acme", mine) as socket:
        said = must_hear(socket, "@file/")
        assert set_word(target, "other", "acme", mine, said, "x").status_code == 403
        with target.client("acme") as client:
            assert client.get(target.notebook("other") + file_address(said)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"marimo-session-id": "s_nobody"},
        {"marimo-session-id": "../../x"},
        {"marimo-session-id": ""},
        {"marimo-session-id": "x" * 200},
        {"marimo-stable-session-id": "s_nobody"},
    ],
)
def test_a_call_without_a_session_of_ones_own_is_refused(target: Target, headers: dict[str, str]) -> None:
    with target.client("acme") as client:
        for path in CALLED_BY_READERS:
            got = client.post(target.notebook("rows").rstrip("/") + path, json={}, headers=headers)
            assert got.status_code == 403, path


def test_two_session_ids_in_one_request_are_refused(target: Target) -> None:
    mine = new_id()
    with connected(target, "rows", "acme", mine), target.client("acme") as client:
        address = f"{target.notebook('rows')}api/kernel/set_ui_element_value"
        headers = [("marimo-session-id", mine), ("marimo-session-id", "s_other")]
        assert client.post(address, json={}, headers=headers).status_code == 403


def endpoints() -> list[tuple[str, str]]:
    """All of marimo's endpoints that take no part of the path as a parameter, by method and path."""
    return [
        (method, mount.path + route.path)
        for mount in build_routes()
        if isinstance(mount, Mount)
        for route in mount.routes
        if isinstance(route, Route) and "{" not in route.path
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]


def test_only_what_a_reader_needs_of_marimos_endpoints_is_reachable(target: Target) -> None:
    mine, asked = new_id(), [each for each in endpoints() if each[1] not in PAGE]
    assert len(asked) > 70
    with connected(target, "rows", "acme", mine) as socket, target.client("acme") as client:
        said = must_hear(socket, "secret of acme")
        client.headers["marimo-session-id"] = mine
        for method, path in asked:
            got = client.request(method, target.notebook("rows").rstrip("/") + path, json={})
            is_called = method == "POST" and path in CALLED_BY_READERS
            assert (got.status_code in (403, 404)) != is_called, (method, path, got.status_code)
        assert set_word(target, "rows", "acme", mine, said, "still here").status_code == 200


@pytest.mark.parametrize("path", ["ws_sync", "terminal/ws", "lsp/pylsp", "ws/", "sse", "../rows/ws_sync"])
def test_no_other_websocket_is_reachable(target: Target, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(
            f"{target.notebook('rows').replace('http', 'ws', 1)}{path}?session_id=s_1",
            additional_headers=target.credentials("acme"),
            origin=Origin(target.origin),
        )
    assert refused.value.response.status_code == 403


def test_the_event_stream_is_not_reachable(target: Target) -> None:
    with target.client("acme") as client:
        assert client.get(f"{target.notebook('rows')}sse?session_id=s_1").status_code == 404


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", ""])
def test_a_websocket_from_a_foreign_page_is_refused(target: Target, origin: str) -> None:
    port = target.origin.rpartition(":")[2]
    for foreign in (origin, f"{origin}:{port}"):
        with pytest.raises(InvalidStatus) as refused:
            connect(
                f"{target.socket('rows')}?session_id=s_1",
                additional_headers=target.credentials("acme"),
                origin=Origin(foreign) if foreign else None,
            )
        assert refused.value.response.status_code == 403


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {}])
def test_a_post_from_a_foreign_page_is_refused(target: Target, headers: dict[str, str]) -> None:
    mine = new_id()
    with connected(target, "rows", "acme", mine), target.client("acme") as client:
        del client.headers["origin"]
        for path in ("/api/kernel/set_ui_element_value", "/api/kernel/function_call"):
            address = target.notebook("rows").rstrip("/") + path
            got = client.post(address, json={}, headers=headers | {"marimo-session-id": mine})
            assert got.status_code == 403
            assert not [name for name in got.headers if name.startswith("access-control")]


def test_no_other_origin_is_given_leave_to_read(target: Target) -> None:
    with target.client("acme") as client:
        foreign = {"origin": attacks.FOREIGN}
        assert not [n for n in client.get(target.notebook("rows"), headers=foreign).headers if "access-control" in n]
        preflight = foreign | {"access-control-request-method": "POST"}
        assert client.options(target.notebook("rows"), headers=preflight).status_code == 403


@pytest.mark.parametrize(
    ("who", "notebook", "query", "status"),
    [
        ("acme", "rows", "", 200),
        ("acme", "rows", "?tenant=acme", 200),
        ("acme", "rows", "?tenant=globex", 403),
        ("acme", "rows", "?tenant=acme&tenant=globex", 403),
        ("acme", "quality", "", 403),
        ("steward", "quality", "", 200),
        ("steward", "rows", "?tenant=acme", 403),
        ("admin", "rows", "?tenant=globex", 200),
        ("admin", "rows", "?tenant=nobody", 404),
        ("admin", "rows", "", 400),
        ("admin", "quality", "", 200),
        ("acme", "absent", "", 404),
    ],
)
def test_each_role_opens_what_is_its_own(target: Target, who: str, notebook: str, query: str, status: int) -> None:
    with target.client(who) as client:
        assert client.get(target.notebook(notebook) + query).status_code == status
    if status in (200, 400):
        return
    pairs = [pair.split("=") for pair in query.removeprefix("?").split("&") if pair]
    if len(pairs) < 2:
        with connected(target, notebook, who, new_id(), **dict(pairs)) as socket:
            assert closing(socket) == 1008


@pytest.mark.parametrize(
    "cookie", ["", "workbench_sign_in=forged", "workbench_sign_in=", "session=x; workbench_sign_in"]
)
def test_who_is_not_signed_in_gets_nothing(target: Target, cookie: str) -> None:
    with target.client("acme") as client:
        client.headers["cookie"] = cookie
        page = client.get(target.notebook("rows"), headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=%2Fnotebooks%2Frows%2F")
        assert client.get(target.notebook("rows") + "@file/12-1-abcdefgh.csv").status_code == 401
        address = f"{target.notebook('rows')}api/kernel/set_ui_element_value"
        assert client.post(address, json={}, headers={"marimo-session-id": "s_1"}).status_code == 401


def test_two_sign_ins_in_one_request_are_none(target: Target) -> None:
    mine, foreign = (target.credentials(who)["cookie"] for who in ("acme", "globex"))
    with target.client("acme") as client:
        client.headers["cookie"] = f"{mine}; {foreign}"
        assert client.get(target.notebook("rows"), headers={"accept": "text/html"}).status_code == 303


def test_what_means_something_to_marimo_cannot_be_set_from_outside(target: Target) -> None:
    query = {"kiosk": "true", "file": "/etc/passwd", "access_token": "x", "owner_of_files": "s_owner"}
    with connected(target, "rows", "acme", new_id(), **query) as socket:
        said = must_hear(socket, "@file/")
        with target.client("acme") as client:
            assert client.get(target.notebook("rows") + file_address(said)).status_code == 200


@pytest.mark.parametrize("path", ["@file/12-../../etc/passwd", "@file/99-1-aaaaaaaa.csv", "@file/x", "public/x"])
def test_no_file_but_ones_own_can_be_had(target: Target, path: str) -> None:
    with target.client("acme") as client:
        assert client.get(target.notebook("rows") + path).status_code in (403, 404)


def test_signing_out_ends_the_live_notebooks_of_that_sign_in_alone(folder: Path) -> None:
    with (
        ours(folder) as target,
        target.client("acme") as client,
        connected(target, "rows", "acme", new_id()) as mine,
        connected(target, "rows", "globex", new_id()) as other,
    ):
        must_hear(mine, "secret of acme")
        must_hear(other, "secret of globex")
        form = re.search(r'name="form" value="([^"]+)"', client.get("/").text)
        assert form is not None
        cookie = f"{target.credentials('acme')['cookie']}; workbench_form={client.cookies['workbench_form']}"
        got = client.post("/sign-out", data={"form": form[1]}, headers={"cookie": cookie})
        assert got.headers["location"] == "/sign-in?out"
        assert closing(mine) == 1008
        until(lambda: running(target) == 1)
        assert attacks.heard(other, "anything", 0.3) is None
        assert other.close_code is None


def test_an_ended_sign_in_a_suspended_tenant_and_a_changed_role_end_live_notebooks(folder: Path) -> None:
    with ours(folder) as target:
        people = target.people
        with (
            connected(target, "rows", "acme", new_id()) as ended,
            connected(target, "rows", "globex", new_id()) as suspended,
            connected(target, "rows", "admin", new_id(), tenant="globex") as read,
            connected(target, "quality", "steward", new_id()) as changed,
        ):
            for socket in (ended, suspended, read):
                must_hear(socket, "secret of")
            must_hear(changed, "completed-run")
            people.sign_out(target.credentials("acme")["cookie"].partition("=")[2])
            assert closing(ended) == 1008
            people.suspended.add("globex")
            assert closing(suspended) == 1008
            assert closing(read) == 1008
            token = target.credentials("steward")["cookie"].partition("=")[2]
            people.tokens[token] = person("steward@example.com", tenant_id="acme")
            assert closing(changed) == 1008
            until(lambda: running(target) == 0)


def test_a_session_that_is_not_used_is_ended(folder: Path) -> None:
    seconds = [0.0]
    with ours(folder, monotonic=lambda: seconds[0]) as target:
        mine, used = new_id(), new_id()
        with connected(target, "rows", "acme", mine) as idle, connected(target, "rows", "acme", used) as busy:
            must_hear(idle, "secret of acme")
            said = must_hear(busy, "secret of acme")
            seconds[0] += 29 * 60
            assert set_word(target, "rows", "acme", used, said, "used").status_code == 200
            seconds[0] += 60
            assert closing(idle) == 1008
            assert set_word(target, "rows", "acme", used, said, "still").status_code == 200


def test_sessions_of_a_person_are_capped_and_those_without_a_browser_make_room(folder: Path) -> None:
    settings = NotebookSettings(port=0, keep_seconds=600, sessions_per_user=2)
    with ours(folder, settings=settings) as target, target.client("acme") as client:
        page = {"accept": "text/html"}
        with connected(target, "rows", "acme", new_id()) as first:
            with connected(target, "rows", "acme", new_id()) as second:
                must_hear(first, "secret of acme")
                must_hear(second, "secret of acme")
                full = client.get(target.notebook("rows"), headers=page)
                assert full.status_code == 429
                assert "Too many notebooks are open" in full.text
                assert full.text.count("<li><b>Rows</b>") == 2
                with connected(target, "rows", "acme", new_id()) as third:
                    assert closing(third) == 1008
                with target.client("acme.second") as colleague:
                    assert colleague.get(target.notebook("rows")).status_code == 200
            until(lambda: client.get(target.notebook("rows"), headers=page).status_code == 200)
            with connected(target, "rows", "acme", new_id()) as third:
                must_hear(third, "secret of acme")
                until(lambda: running(target) == 2)


def test_sessions_of_a_tenant_are_capped(folder: Path) -> None:
    settings = NotebookSettings(port=0, sessions_per_tenant=1)
    with (
        ours(folder, settings=settings) as target,
        target.client("acme.second") as colleague,
        connected(target, "rows", "acme", new_id()) as first,
        connected(target, "rows", "globex", new_id()) as other,
    ):
        must_hear(first, "secret of acme")
        must_hear(other, "secret of globex")
        assert colleague.get(target.notebook("rows")).status_code == 429


def test_the_end_of_the_server_ends_its_notebooks(folder: Path) -> None:
    with ours(folder) as target, connected(target, "rows", "acme", new_id()) as socket:
        must_hear(socket, "secret of acme")
        app = target.app
        target.stop()
        assert closing(socket) in (1001, 1008, 1012)
    assert app is not None
    assert app.kernels.count() == 0
