"""Ids that cannot meet."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.serving.binding import Ids

IDS = Ids(b"k" * 32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
CLIENT_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
NAMED = st.tuples(TEXTS, TEXTS, CLIENT_IDS)


@given(NAMED, NAMED)
def test_two_sessions_have_the_same_inner_id_only_if_they_are_the_same(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (IDS.session(*one) == IDS.session(*other)) == (one == other)


@given(TEXTS, TEXTS, CLIENT_IDS)
def test_an_inner_id_has_256_bits_and_holds_nothing_of_the_browsers(sign_in: str, notebook: str, client: str) -> None:
    inner = IDS.session(sign_in, notebook, client)
    assert len(base64.urlsafe_b64decode(inner.removeprefix("s_") + "=")) == 32
    assert len(client) < 6 or client not in inner


@given(TEXTS, TEXTS)
def test_each_purpose_has_digests_of_its_own(one: str, other: str) -> None:
    digests = {IDS.sign_in(one), IDS.form(one), IDS.owner(one, other), IDS.session(one, other, "x")}
    assert len(digests) == 4


def test_another_process_has_other_ids() -> None:
    assert Ids(b"a" * 32).session("s", "n", "c") != Ids(b"b" * 32).session("s", "n", "c")


@pytest.mark.parametrize("client", ["", "a b", "../x", "é", "x" * 65, "s_1\n", "s_1&session_id=2", "\x00"])
def test_an_id_that_no_page_of_ours_chooses_is_refused(client: str) -> None:
    with pytest.raises(ValueError, match="no session id"):
        IDS.session("sign-in", "overview", client)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Ids(b"short")


@pytest.mark.parametrize(
    ("nonce", "carried", "fits"),
    [
        ("n", IDS.form("n"), True),
        ("n", IDS.form("m"), False),
        ("n", "n", False),
        ("n", None, False),
        ("n", "", False),
        (None, IDS.form("n"), False),
        ("", IDS.form(""), False),
        (None, None, False),
    ],
)
def test_a_form_fits_the_browser_that_it_was_made_for(nonce: str | None, carried: str | None, fits: bool) -> None:
    assert IDS.form_fits(nonce, carried) is fits
