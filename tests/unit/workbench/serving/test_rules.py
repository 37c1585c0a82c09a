"""What may be asked of a served notebook."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.serving import rules
from workbench.serving.rules import Errand


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/notebooks/overview/", ("overview", "/")),
        ("/notebooks/overview", ("overview", "")),
        ("/notebooks/overview/api/kernel/run", ("overview", "/api/kernel/run")),
        ("/notebooks/", None),
        ("/notebooks//x", None),
        ("/notebooks/../x", None),
        ("/notebooks/Über/", None),
        ("/", None),
        ("/notebooksx/overview/", None),
    ],
)
def test_a_path_is_a_place_in_a_notebook_or_elsewhere(path: str, found: tuple[str, str] | None) -> None:
    assert rules.place(path) == found


@pytest.mark.parametrize(
    ("method", "within", "found"),
    [
        ("GET", "/", Errand.DOCUMENT),
        ("HEAD", "", Errand.DOCUMENT),
        ("GET", "/assets/index-s-M1OXjs.js", Errand.ASSET),
        ("GET", "/favicon.ico", Errand.ASSET),
        ("GET", "/health", Errand.ASSET),
        ("GET", "/@file/12-20317-1n7lK8hz.csv", Errand.FILE),
        ("POST", "/api/kernel/set_ui_element_value", Errand.CALL),
        ("POST", "/api/kernel/function_call", Errand.CALL),
        ("GET", "/api/kernel/function_call", None),
        ("POST", "/api/kernel/run", None),
        ("POST", "/api/kernel/function_call/", None),
        ("POST", "//api/kernel/function_call", None),
        ("POST", "/api/kernel/takeover", None),
        ("POST", "/", None),
        ("PUT", "/", None),
        ("OPTIONS", "/", None),
        ("GET", "/assets/../index.html", None),
        ("GET", "/assets/x/y.js", None),
        ("GET", "/@file/12-a/b", None),
        ("GET", "/@file/x-a.csv", None),
        ("GET", "/@file/", None),
        ("GET", "/public/x", None),
        ("GET", "/auth/login", None),
        ("GET", "/sse", None),
        ("GET", "/api/status/connections", None),
    ],
)
def test_only_what_a_reader_needs_is_an_errand(method: str, within: str, found: Errand | None) -> None:
    assert rules.errand(method, within) is found


def test_a_file_is_known_by_the_name_behind_its_size() -> None:
    assert rules.file_name("/@file/12-20317-1n7lK8hz.csv") == "20317-1n7lK8hz.csv"
    with pytest.raises(ValueError, match="file"):
        rules.file_name("/@file/12")


PAIRS = st.lists(st.tuples(st.sampled_from([*sorted(rules.RESERVED), "tenant", "x"]), st.text(max_size=5)), max_size=8)


@given(PAIRS)
def test_a_cleaned_query_keeps_the_rest_and_holds_of_the_reserved_only_ours(pairs: list[tuple[str, str]]) -> None:
    query = urlencode(pairs).encode()
    found = parse_qs(rules.cleaned(query, session_id="ours").decode(), keep_blank_values=True)
    assert found.pop("session_id") == ["ours"]
    assert not rules.RESERVED & set(found)
    assert [value for key, value in pairs if key == "x"] == found.get("x", [])
    assert rules.asked(query, "tenant") == [value for key, value in pairs if key == "tenant"]


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("/", "/"),
        ("/notebooks/overview/?tenant=acme&x=1", "/notebooks/overview/?tenant=acme&x=1"),
        (None, "/"),
        ("", "/"),
        ("notebooks", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/x\\y", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/é", "/"),
        ("/" + "x" * 3_000, "/"),
    ],
)
def test_after_signing_in_one_goes_to_a_page_of_this_server(address: str | None, safe: str) -> None:
    assert rules.safe_next(address) == safe


@given(st.text(st.sampled_from("/\\\t\n\r .:@?#xhtps"), max_size=12))
def test_no_text_leads_elsewhere(text: str) -> None:
    there = urlsplit(urljoin("https://ours.example/sign-in", rules.safe_next(text)))
    assert there.netloc == "ours.example"
