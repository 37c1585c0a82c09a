"""Signing in with an identity that an OIDC provider vouches for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.core.tenants import suspend_tenant
from tests.integration.notebooks.people.conftest import HOME, JANE, House
from workbench.people.errors import SignInRefused
from workbench.people.principal import Identity, SignedIn
from workbench.people.register import set_user

ISSUER = "https://id.example.com"


def identity(
    subject: str = "s-1", email: str | None = JANE, *, verified: bool = True, issuer: str = ISSUER
) -> Identity:
    return Identity(issuer=issuer, subject=subject, email=email, email_verified=verified)


def enter(house: House, who: Identity) -> SignedIn:
    return house.people.sign_in_by_identity(who, client=HOME)


def test_the_first_sign_in_links_the_identity_by_verified_email(house: House) -> None:
    added = house.add(password=None)
    signed = enter(house, identity(email="Jane@Acme.com"))
    assert signed.principal.user_id == added.user_id
    assert house.people.principal_of(signed.token) == signed.principal
    assert house.ask("select oidc_issuer, oidc_subject, last_sign_in_at from control.users") == [
        (ISSUER, "s-1", house.clock.now)
    ]
    [(details,)] = house.ask("select details from control.audit_log where action = 'sign in'")
    assert details["by"] == ISSUER


def test_from_then_on_the_subject_counts_and_no_email_does(house: House) -> None:
    jane = house.add(password=None)
    house.add("joe@acme.com", password=None)
    enter(house, identity())
    for email, verified in (("renamed@acme.com", True), (None, False), ("joe@acme.com", True), (JANE, False)):
        assert enter(house, identity(email=email, verified=verified)).principal.user_id == jane.user_id
    assert house.ask("select count(*) from control.users where oidc_subject is not null") == [(1,)]


@pytest.mark.parametrize(
    "other",
    [
        identity("s-2"),
        identity("s-2", verified=False),
        identity("s-1", issuer="https://id.example.org"),
        identity("S-1"),
        identity("s-1 "),
    ],
    ids=["another subject", "unverified", "another issuer", "another case", "a space more"],
)
def test_a_linked_user_is_nobody_elses_whatever_email_they_bring(house: House, other: Identity) -> None:
    house.add()
    enter(house, identity())
    with pytest.raises(SignInRefused):
        enter(house, other)


@pytest.mark.parametrize(
    "who",
    [
        identity(verified=False),
        identity(email=None),
        identity(email="nobody@acme.com"),
        identity(email="j\u0430ne@acme.com"),
        identity(email="jane@acme.com\x00"),
        identity(subject=""),
        identity(subject="s\x00"),
        identity(subject="s" * 256),
        identity(issuer=""),
    ],
)
def test_who_cannot_be_linked_is_refused_and_links_nothing(house: House, who: Identity) -> None:
    house.add()
    with pytest.raises(SignInRefused, match="no account for you"):
        enter(house, who)
    assert house.ask("select count(*) from control.users where oidc_subject is not null") == [(0,)]
    assert house.ask("select count(*) from control.user_sessions") == [(0,)]


def test_disabled_users_and_suspended_tenants_are_refused_linked_or_not(house: House) -> None:
    house.add()
    house.add("joe@globex.com", tenant_id="globex")
    set_user(house.database, JANE, status="disabled", actor="operator")
    with pytest.raises(SignInRefused):
        enter(house, identity())
    enter(house, identity("s-3", "joe@globex.com"))
    suspend_tenant(house.database, "globex")
    with pytest.raises(SignInRefused):
        enter(house, identity("s-3", "joe@globex.com"))
    assert house.ask("select email from control.users where oidc_subject is not null") == [("joe@globex.com",)]
    assert ("somebody unknown", "refuse sign-in") in house.deeds()


def test_a_forgotten_identity_makes_room_for_another(house: House) -> None:
    house.add()
    token = enter(house, identity()).token
    set_user(house.database, JANE, forget_identity=True, actor="operator", clock=house.clock)
    assert house.people.principal_of(token) is None
    enter(house, identity("s-2"))
    with pytest.raises(SignInRefused):
        enter(house, identity("s-1", email=None, verified=False))


def test_first_sign_ins_at_once_link_once(house: House) -> None:
    house.add(password=None)
    with ThreadPoolExecutor(max_workers=8) as threads:
        signed = list(threads.map(lambda _: enter(house, identity()), range(16)))
    assert len({one.token for one in signed}) == 16
    assert len({one.principal.user_id for one in signed}) == 1
