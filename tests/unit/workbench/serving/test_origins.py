"""Which origins and hosts a request may name."""

from __future__ import annotations

import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.notebooks import NotebookSettings
from workbench.serving.origins import doors, header

LOCAL = doors(NotebookSettings(), 8080)
PUBLIC = doors(
    NotebookSettings(
        host="0.0.0.0",
        public_url="https://Notebooks.example.com/",
        allowed_origins="https://old.example.com, http://intern:8080",
    ),
    8080,
)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8080", "http://localhost:8080", "http://[::1]:8080"])
def test_on_a_laptop_its_own_names_come_in(origin: str) -> None:
    assert LOCAL.lets_socket_in(origin)
    assert LOCAL.lets_post_in(origin, None)
    assert LOCAL.lets_host_in(origin.removeprefix("http://"))
    assert not LOCAL.secure


@pytest.mark.parametrize("origin", ["https://notebooks.example.com", "https://old.example.com", "http://intern:8080"])
def test_a_public_server_is_known_by_its_address_and_those_allowed(origin: str) -> None:
    assert PUBLIC.lets_socket_in(origin)
    assert PUBLIC.secure
    assert PUBLIC.url == "https://notebooks.example.com"


@pytest.mark.parametrize("host", ["notebooks.example.com", "NOTEBOOKS.example.com", "notebooks.example.com:443"])
def test_a_host_may_name_the_port_that_its_scheme_implies(host: str) -> None:
    assert PUBLIC.lets_host_in(host)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "https://evil.example",
        "http://notebooks.example.com",
        "https://notebooks.example.com.evil.example",
        "https://notebooks.example.com:8443",
        "https://notebooks.example.com/",
        "http://127.0.0.1:8080",
    ],
)
def test_no_other_origin_comes_in(origin: str | None) -> None:
    assert not PUBLIC.lets_socket_in(origin)
    assert not PUBLIC.lets_post_in(origin, None)
    assert origin is None or not PUBLIC.lets_post_in(origin, "same-origin")


def test_without_an_origin_a_post_must_be_said_to_be_our_own_pages() -> None:
    assert LOCAL.lets_post_in(None, "same-origin")
    for site in (None, "same-site", "cross-site", "none"):
        assert not LOCAL.lets_post_in(None, site)


@pytest.mark.parametrize("host", [None, "", "evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:8081"])
def test_no_other_host_comes_in(host: str | None) -> None:
    assert not LOCAL.lets_host_in(host)


@pytest.mark.parametrize(
    "url", ["notebooks.example.com", "ftp://x", "https://x/path", "https://", "https://u:p@x", "https://x:y"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="WORKBENCH_NOTEBOOKS_PUBLIC_URL"):
        doors(NotebookSettings(public_url=url), 8080)


def test_a_header_that_is_there_twice_is_refused() -> None:
    assert header([(b"origin", b"a")], b"origin") == "a"
    assert header([], b"origin") is None
    with pytest.raises(ValueError, match="origin"):
        header([(b"origin", b"a"), (b"origin", b"b")], b"origin")
