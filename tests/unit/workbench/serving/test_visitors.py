"""Who sends a request."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.workbench.serving.people import FakePeople
from workbench.serving.binding import Ids
from workbench.serving.visitors import Visitors, cookies

IDS = Ids(b"k" * 32)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([b"a=1; b=2"], ["1"]),
        ([b"a=1", b"a=2"], ["1", "2"]),
        ([b"a=1; a=2"], ["1", "2"]),
        ([b'a="1"'], ["1"]),
        ([b"a"], []),
        ([b"b=[]; a=1"], ["1"]),
        ([b"ab=1"], []),
        ([b""], []),
        ([], []),
    ],
)
def test_all_values_of_a_cookie_are_found(given: list[bytes], found: list[str]) -> None:
    assert cookies([(b"cookie", each) for each in given], "a") == found


def test_a_visitor_is_bound_by_a_digest_and_never_shows_the_token() -> None:
    people = FakePeople()
    token = people.signed_in("acme@example.com").token
    visitors = Visitors(people, IDS, secure=True)
    headers = [(b"cookie", f"__Host-workbench_sign_in={token}".encode())]
    found = asyncio.run(visitors.of(headers))
    assert found is not None
    assert found.principal.tenant_id == "acme"
    assert found.sign_in == IDS.sign_in(token)
    assert token not in repr(found)
    people.sign_out(token)
    assert asyncio.run(visitors.of(headers)) is None


@pytest.mark.parametrize(
    "cookie", ["", "workbench_sign_in={}", "__Host-workbench_sign_in={}x", "__Host-workbench_sign_in"]
)
def test_over_https_only_the_cookie_that_is_bound_to_it_counts(cookie: str) -> None:
    people = FakePeople()
    token = people.signed_in("acme@example.com").token
    headers = [(b"cookie", cookie.format(token).encode())]
    assert asyncio.run(Visitors(people, IDS, secure=True).of(headers)) is None
