"""control.current_tenant(): the login decides, else a valid token, else nobody."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from pipeline.core.database import Database, ServiceRole, connect
from tests.conftest import NewTenant

Sign = Callable[..., str]


@pytest.fixture
def sign(database: Database) -> Sign:
    """Signs tokens with a key that the database knows."""
    secret = secrets.token_bytes(32)
    padded = secret.ljust(64, b"\0")
    with database.connect_admin() as connection:
        connection.execute(
            "insert into control.signing_keys (key_id, inner_pad, outer_pad) values ('k1', %s, %s)",
            (bytes(b ^ 0x36 for b in padded), bytes(b ^ 0x5C for b in padded)),
        )

    def token(tenant: str = "acme", *, expires_in: int = 60, key_id: str = "k1") -> str:
        body = f"{tenant}|{int(time.time()) + expires_in}|{key_id}"
        return f"{body}|{hmac.digest(secret, body.encode(), hashlib.sha256).hex()}"

    return token


@pytest.fixture
def service(database: Database) -> Iterator[psycopg.Connection]:
    with database.connect(ServiceRole.API) as connection:
        yield connection


def asked(connection: psycopg.Connection, token: str | None = None) -> str | None:
    if token is not None:
        connection.execute("select set_config('workbench.tenant_token', %s, true)", (token,))
    row = connection.execute("select control.current_tenant()").fetchone()
    assert row is not None
    answer: str | None = row[0]
    return answer


def test_a_valid_token_answers_its_tenant_for_one_transaction(service: psycopg.Connection, sign: Sign) -> None:
    assert asked(service) is None
    assert asked(service, sign()) == "acme"
    service.commit()
    assert asked(service) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t.replace("acme|", "globex|"),
        lambda t: t[:-1] + ("0" if t[-1] != "0" else "1"),
        lambda t: t + "|",
        lambda t: t.upper(),
        lambda t: "|" + t,
        lambda t: t[: t.rindex("|")],
        lambda _: "acme|99999999999|k1|" + "0" * 64,
        lambda _: "acme",
        lambda _: "|||",
        lambda t: t.replace("|", "||", 1),
    ],
)
def test_a_token_that_was_touched_answers_nobody(
    service: psycopg.Connection, sign: Sign, spoil: Callable[[str], str]
) -> None:
    assert asked(service, spoil(sign())) is None


def test_expired_unknown_and_retired_keys_answer_nobody(
    database: Database, service: psycopg.Connection, sign: Sign
) -> None:
    assert asked(service, sign(expires_in=-1)) is None
    assert asked(service, sign(key_id="k2")) is None
    token = sign()
    assert asked(service, token) == "acme"
    with database.connect_admin() as connection:
        connection.execute("update control.signing_keys set retired_at = now()")
    assert asked(service, token) is None


def test_a_login_cannot_become_another_tenant_by_a_token(database: Database, new_tenant: NewTenant, sign: Sign) -> None:
    login = new_tenant("acme")
    with connect(database.login_url(login), application="tests") as connection:
        connection.execute("set workbench.tenant_token = '" + sign("globex") + "'")
        # The tenant has no USAGE on schema control; the views of analytics ask for it.
        row = connection.execute("select count(*) from freshness").fetchone()
    assert row == (0,)
    with database.connect_admin() as connection:
        connection.execute(f"set session authorization {login}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select control.current_tenant()")
