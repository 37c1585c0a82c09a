"""Sign-in sessions: how each of them ends, and what does not keep it open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from pipeline.core.database import ServiceRole
from pipeline.core.tenants import resume_tenant, suspend_tenant
from tests.integration.notebooks.people.conftest import HOME, JANE, WORD, House
from workbench.people.passwords import Passwords
from workbench.people.people import open_people
from workbench.people.principal import Client
from workbench.people.register import set_password, set_user, sign_out_user
from workbench.people.sessions import KEPT, SessionLimits, open_session

LIMITS = SessionLimits()


def test_a_session_that_is_used_lasts_until_its_absolute_end(house: House) -> None:
    house.add()
    token = house.sign_in().token
    used = timedelta()
    while used + LIMITS.idle / 2 < LIMITS.absolute:
        house.clock.pass_by(seconds=LIMITS.idle.total_seconds() / 2)
        used += LIMITS.idle / 2
        assert house.people.principal_of(token) is not None, used
    house.clock.pass_by(seconds=LIMITS.idle.total_seconds() / 2)
    assert house.people.principal_of(token) is None


def test_a_session_that_is_not_used_ends_and_stays_ended(house: House) -> None:
    house.add()
    token = house.sign_in().token
    house.clock.now += LIMITS.idle - timedelta(seconds=1)
    assert house.people.watch(token) is not None
    house.clock.pass_by(seconds=1)
    assert house.people.principal_of(token) is None
    house.clock.pass_by(seconds=-1)
    assert house.people.watch(token) is not None, "the end was not the idle limit"


def test_a_short_session_is_not_kept_longer_without_use_than_with_it(house: House) -> None:
    short = SessionLimits.lasting(timedelta(hours=1))
    assert (short.idle, short.absolute) == (timedelta(hours=1), timedelta(hours=1))
    assert SessionLimits.lasting(LIMITS.absolute) == LIMITS
    house.add()
    with open_people(house.database, limits=short, passwords=Passwords(house.hashing), clock=house.clock) as people:
        token = people.sign_in(JANE, WORD, client=HOME).token
        house.clock.pass_by(minutes=59)
        assert people.principal_of(token) is not None
        house.clock.pass_by(minutes=1)
        assert people.principal_of(token) is None


def test_watching_a_session_is_no_use_of_it(house: House) -> None:
    house.add()
    token = house.sign_in().token
    for _ in range(4):
        house.clock.now += LIMITS.idle / 5
        assert house.people.watch(token) is not None
    house.clock.now += LIMITS.idle / 5
    assert house.people.watch(token) is None


def test_a_use_is_written_once_a_minute(house: House) -> None:
    house.add()
    token = house.sign_in().token
    seen = "select last_seen_at from control.user_sessions"
    start = house.clock.now
    house.clock.pass_by(seconds=59)
    house.people.principal_of(token)
    assert house.ask(seen) == [(start,)]
    house.clock.pass_by(seconds=2)
    house.people.principal_of(token)
    assert house.ask(seen) == [(house.clock.now,)]


def test_signing_out_ends_this_session_alone(house: House) -> None:
    house.add()
    here, elsewhere = house.sign_in().token, house.sign_in().token
    house.people.sign_out(here)
    assert house.people.principal_of(here) is None
    assert house.people.principal_of(elsewhere) is not None
    house.people.sign_out(here)
    assert [deed for deed in house.deeds() if deed[1] == "sign out"] == [(JANE, "sign out")]


Deed = Callable[[House], object]
DEEDS: dict[str, tuple[Deed, Deed]] = {
    "disabling": (
        lambda house: set_user(house.database, JANE, status="disabled", actor="x", clock=house.clock),
        lambda house: set_user(house.database, JANE, status="active", actor="x", clock=house.clock),
    ),
    "another password": (
        lambda house: set_password(house.database, JANE, "mango7 piano2 fog", actor="x", clock=house.clock),
        lambda _house: None,
    ),
    "no password": (
        lambda house: set_password(house.database, JANE, None, actor="x", clock=house.clock),
        lambda _house: None,
    ),
    "another tenant": (
        lambda house: set_user(house.database, JANE, tenant_id="globex", actor="x", clock=house.clock),
        lambda house: set_user(house.database, JANE, tenant_id="acme", actor="x", clock=house.clock),
    ),
    "another role": (
        lambda house: set_user(house.database, JANE, role="admin", actor="x", clock=house.clock),
        lambda house: set_user(house.database, JANE, role="analyst", tenant_id="acme", actor="x", clock=house.clock),
    ),
    "signing the user out": (
        lambda house: sign_out_user(house.database, JANE, actor="x", clock=house.clock),
        lambda _house: None,
    ),
    "suspending the tenant": (
        lambda house: suspend_tenant(house.database, "acme"),
        lambda house: resume_tenant(house.database, "acme"),
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_what_ends_a_users_sessions_ends_all_of_them_for_good(house: House, deed: str) -> None:
    house.add()
    house.add("joe@globex.com", tenant_id="globex")
    tokens = [house.sign_in().token for _ in range(3)]
    bystander = house.sign_in("joe@globex.com").token
    done, undone = DEEDS[deed]
    done(house)
    assert [house.people.principal_of(token) for token in tokens] == [None] * 3
    undone(house)
    assert [house.people.principal_of(token) for token in tokens] == [None] * 3, "it came back"
    assert house.people.principal_of(bystander) is not None


def test_who_signs_in_just_as_the_tenant_is_suspended_is_out_when_it_is_resumed(house: House) -> None:
    house.add()
    jane = house.sign_in().principal
    with house.database.connect(ServiceRole.NOTEBOOKS) as connection:
        token = open_session(connection, jane, HOME, LIMITS, house.clock.now)
        suspend_tenant(house.database, "acme")
    assert house.people.principal_of(token) is None
    resume_tenant(house.database, "acme")
    assert house.people.principal_of(token) is None


def test_changing_nothing_ends_nothing(house: House) -> None:
    house.add()
    token = house.sign_in().token
    set_user(house.database, JANE, role="analyst", tenant_id="acme", status="active", actor="x")
    with house.database.connect_admin() as connection:
        connection.execute("update control.tenants set display_name = display_name, status = status")
    assert house.people.principal_of(token) is not None
    assert "change user" not in [action for _, action in house.deeds()]


@pytest.mark.parametrize(
    "token", ["", "x", "x" * 42, "x" * 43, "x" * 44, "x" * 100_000, "é" * 43, "\x00" * 43, "\ud800"]
)
def test_a_token_that_nobody_was_given_opens_nothing(house: House, token: str) -> None:
    house.add()
    house.sign_in()
    assert house.people.principal_of(token) is None
    assert house.people.watch(token) is None
    house.people.sign_out(token)


def test_the_hash_in_the_database_is_no_token(house: House) -> None:
    house.add()
    house.sign_in()
    [(stored,)] = house.ask("select token_hash from control.user_sessions")
    for presented in (bytes(stored).hex(), bytes(stored).hex()[:43], bytes(stored).decode("latin-1")):
        assert house.people.principal_of(presented) is None


def test_what_a_client_says_of_itself_is_kept_short_and_harmless(house: House) -> None:
    house.add()
    house.sign_in(client=Client(address=None, note="\x1b[31mred\x00\ud800\n" + "x" * 10_000))
    house.sign_in(client=Client(address="\x00" + "9" * 10_000, note=""))
    rows = house.ask("select address, client from control.user_sessions order by address nulls first")
    assert rows[0][0] is None
    assert rows[0][1].startswith("[31mred")
    assert all(len(text) <= 200 and text.isprintable() for row in rows for text in row if text)


def test_sessions_of_long_ago_are_forgotten(house: House) -> None:
    house.add()
    house.sign_in()
    house.clock.now += LIMITS.absolute + KEPT
    house.sign_in()
    assert house.ask("select count(*) from control.user_sessions") == [(2,)]
    house.clock.pass_by(seconds=1)
    house.sign_in()
    assert house.ask("select count(*) from control.user_sessions") == [(2,)]
