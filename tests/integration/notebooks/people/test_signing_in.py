"""Signing in with a password: who gets in, who does not, and what nobody learns from being refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg_pool import ConnectionPool
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from pipeline.core.errors import DatabaseUnavailable
from pipeline.core.tenants import resume_tenant, suspend_tenant
from tests.integration.notebooks.people.conftest import HOME, JANE, WORD, House
from workbench.people.errors import PasswordRefused, SignInRefused, TooManyAttempts
from workbench.people.passwords import Passwords
from workbench.people.people import People
from workbench.people.principal import Client
from workbench.people.register import set_user


def test_who_knows_the_password_is_let_in_and_known_again(house: House) -> None:
    added = house.add()
    signed = house.sign_in("Jane@ACME.com ")
    assert signed.principal.as_user() == {
        "user_id": str(added.user_id),
        "email": JANE,
        "role": "analyst",
        "tenant_id": "acme",
    }
    assert house.people.principal_of(signed.token) == signed.principal
    assert house.people.watch(signed.token) == signed.principal
    assert house.ask("select last_sign_in_at from control.users") == [(house.clock.now,)]
    assert house.sign_in().token != signed.token


def test_stewards_and_admins_have_no_tenant(house: House) -> None:
    house.add("sam@example.com", "steward")
    house.add("ada@example.com", "admin")
    assert house.sign_in("sam@example.com").principal.tenant_id is None
    assert house.sign_in("ada@example.com").principal.role == "admin"


def test_every_refusal_is_the_same_and_costs_one_comparison(house: House) -> None:
    house.add()
    house.add("off@acme.com")
    set_user(house.database, "off@acme.com", status="disabled", actor="operator")
    house.add("gone@globex.com", tenant_id="globex")
    suspend_tenant(house.database, "globex")
    house.add("oidc@acme.com", password=None)
    wrong = [
        (JANE, "another horse battery"),
        (JANE, ""),
        (JANE, WORD + "\x00"),
        (JANE, "\ud800" * 12),
        ("nobody@acme.com", WORD),
        ("no address", WORD),
        ("jane@acme.com\x00", WORD),
        ("", ""),
        ("off@acme.com", WORD),
        ("gone@globex.com", WORD),
        ("oidc@acme.com", WORD),
        ("oidc@acme.com", ""),
    ]
    told = set()
    for number, (email, password) in enumerate(wrong):
        before = house.hashing.compared
        with pytest.raises(SignInRefused) as refused:
            house.sign_in(email, password, client=Client(address=f"192.0.2.{number}"))
        assert not isinstance(refused.value, TooManyAttempts)
        assert house.hashing.compared == before + 1, email
        told.add(str(refused.value))
    assert len(told) == 1
    assert house.ask("select count(*) from control.user_sessions") == [(0,)]


def test_nothing_secret_is_stored(house: House) -> None:
    house.add()
    token = house.sign_in().token
    with pytest.raises(SignInRefused):
        house.sign_in(WORD, "in the wrong field")
    for table in ("users", "user_sessions", "failed_sign_ins", "audit_log"):
        [(stored,)] = house.ask(f"select coalesce(string_agg(t::text, ' '), '') from control.{table} as t")  # noqa: S608
        assert stored
        for secret in (WORD, token, token.encode().hex()):
            assert secret not in stored, table


def test_a_password_typed_where_the_email_belongs_is_not_in_the_log(house: House) -> None:
    with pytest.raises(SignInRefused):
        house.sign_in("p@ssw0rd-of-jane", "x")
    house.add()
    with pytest.raises(SignInRefused):
        house.sign_in(JANE, "x")
    told = "select details ->> 'email' from control.audit_log where action = 'refuse sign-in' order by audit_id"
    assert house.ask(told) == [(None,), (JANE,)]


def test_sign_ins_and_refusals_are_audited_apart_from_what_is_done_to_a_tenants_data(house: House) -> None:
    house.add()
    with pytest.raises(SignInRefused):
        house.sign_in(password="wrong")
    house.people.sign_out(house.sign_in().token)
    assert house.deeds() == [
        ("operator", "add user"),
        ("somebody unknown", "refuse sign-in"),
        (JANE, "sign in"),
        (JANE, "sign out"),
    ]
    assert house.ask("select count(*) from control.audit_log where tenant_id is not null") == [(0,)]
    [(details,)] = house.ask("select details from control.audit_log where action = 'sign in'")
    assert details == {"by": "password", "address": "192.0.2.1", "tenant_id": "acme"}


def test_a_hash_of_older_parameters_is_replaced_when_its_user_signs_in(house: House) -> None:
    house.add()
    other = house.sign_in().token
    old = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1),)).hash(WORD)
    with house.database.connect_admin() as connection:
        connection.execute("update control.users set password_hash = %s", (old,))
    house.sign_in()
    [(renewed,)] = house.ask("select password_hash from control.users")
    assert renewed != old
    assert Passwords(house.hashing).compare(WORD, renewed).matches
    assert house.people.principal_of(other) is not None, "the password is the same, so its sessions stay"


def test_a_password_changed_while_it_is_compared_lets_nobody_in(house: House) -> None:
    house.add()

    class Slow(Passwords):
        def compare(self, password: str, stored: str | None):  # type: ignore[no-untyped-def]
            answer = super().compare(password, stored)
            with house.database.connect_admin() as connection:
                connection.execute("update control.users set password_hash = %s", (self.hash("another one now"),))
            return answer

    people = People(house.people._pool, passwords=Slow(house.hashing), clock=house.clock)
    with pytest.raises(SignInRefused):
        people.sign_in(JANE, WORD, client=HOME)
    assert house.ask("select count(*) from control.user_sessions") == [(0,)]


def test_a_user_changes_the_own_password_and_other_sessions_end(house: House) -> None:
    house.add()
    here, elsewhere = house.sign_in().token, house.sign_in().token
    with pytest.raises(SignInRefused):
        house.people.change_password(here, "wrong", "mango7 piano2 fog")
    with pytest.raises(PasswordRefused):
        house.people.change_password(here, WORD, "short")
    house.people.change_password(here, WORD, "mango7 piano2 fog")
    assert house.people.principal_of(here) is not None
    assert house.people.principal_of(elsewhere) is None
    with pytest.raises(SignInRefused):
        house.sign_in()
    house.sign_in(password="mango7 piano2 fog")
    with pytest.raises(SignInRefused):
        house.people.change_password(elsewhere, "mango7 piano2 fog", WORD)
    assert (JANE, "change password") in house.deeds()
    assert (JANE, "refuse change of password") in house.deeds()


def test_guessing_the_current_password_in_an_open_session_is_throttled(house: House) -> None:
    house.add()
    token = house.sign_in().token
    for _ in range(5):
        with pytest.raises(SignInRefused) as refused:
            house.people.change_password(token, "wrong", "mango7 piano2 fog")
        assert not isinstance(refused.value, TooManyAttempts)
    with pytest.raises(TooManyAttempts):
        house.people.change_password(token, WORD, "mango7 piano2 fog")


def test_many_may_sign_in_at_once(house: House) -> None:
    emails = [f"user{number}@acme.com" for number in range(12)]
    for email in emails:
        house.add(email)
    with ThreadPoolExecutor(max_workers=12) as threads:
        signed = list(threads.map(lambda email: house.sign_in(email), emails * 2))
    assert sorted(one.principal.email for one in signed) == sorted(emails * 2)
    assert len({one.token for one in signed}) == 24
    assert house.ask("select count(*) from control.failed_sign_ins") == [(0,)]


def test_the_tenants_that_there_are_to_choose_from(house: House) -> None:
    assert [tenant.display_name for tenant in house.people.tenants()] == ["Acme", "Globex"]
    acme = house.people.tenant("acme")
    assert acme is not None
    assert house.ask("select 1 from control.tenant_logins where role_name = %s", acme.login) == [(1,)]
    for unknown in ("nobody", "", "a\x00b", "acme'; --", "ACME"):
        assert house.people.tenant(unknown) is None
    suspend_tenant(house.database, "acme")
    assert house.people.tenant("acme") is None
    assert [tenant.tenant_id for tenant in house.people.tenants()] == ["globex"]
    resume_tenant(house.database, "acme")
    assert house.people.tenant("acme") == acme


def test_a_database_that_does_not_answer_is_not_a_wrong_password(house: House) -> None:
    with ConnectionPool("postgresql://x@/x?host=/nowhere", min_size=1, open=False, timeout=0.2) as pool:
        people = People(pool, passwords=Passwords(house.hashing))
        for call in (
            lambda: people.sign_in(JANE, WORD, client=HOME),
            lambda: people.principal_of("x" * 43),
            lambda: people.sign_out("x" * 43),
            people.tenants,
        ):
            with pytest.raises(DatabaseUnavailable):
                call()
