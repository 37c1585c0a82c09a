"""One spelling of an e-mail address, and none for what only looks like one."""

from __future__ import annotations

import pytest

from workbench.people.emails import normalized


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("jane@acme.com", "jane@acme.com"),
        (" Jane.Doe+BI@Acme.COM\n", "jane.doe+bi@acme.com"),
        ("o'brien@xn--bcher-kva.example", "o'brien@xn--bcher-kva.example"),
        ("x@" + "a" * 252, "x@" + "a" * 252),
    ],
)
def test_an_address_has_one_spelling(typed: str, address: str) -> None:
    assert normalized(typed) == address


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "jane",
        "@acme.com",
        "jane@",
        "a@b@c",
        "jane doe@acme.com",
        "jane@ac\x00me.com",
        "jane@acme.com\nx",
        "x@" + "a" * 253,
    ],
)
def test_what_is_no_address_is_none(typed: str) -> None:
    assert normalized(typed) is None


@pytest.mark.parametrize(
    "typed", ["mi\u212ae@acme.com", "j\u0430ne@acme.com", "jane@\uff41cme.com", "\u0131an@acme.com"]
)
def test_letters_that_fold_or_look_alike_are_no_way_to_be_somebody_else(typed: str) -> None:
    """The Kelvin sign in lower case is a k, a Cyrillic a looks like a Latin one."""
    assert normalized(typed) is None
