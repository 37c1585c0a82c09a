"""People on a database of this test alone, with cheap hashes and a clock in the test's hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from pipeline.core.database import Database
from pipeline.core.models import User
from pipeline.core.tenants import add_tenant, resume_tenant
from tests.conftest import deployed
from tests.factories import MOMENT
from workbench.people.passwords import Passwords
from workbench.people.people import People, open_people
from workbench.people.principal import Client, Role, SignedIn
from workbench.people.register import add_user

WORD = "correct horse battery"
JANE = "jane@acme.com"
TENANTS = ("acme", "globex")
EMPTY = "truncate control.users, control.user_sessions, control.failed_sign_ins, control.audit_log"
HOME = Client(address="192.0.2.1", note="Firefox")


class Hand:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = MOMENT

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


class Cheap(PasswordHash):
    """Hashes that cost nothing, and how often one was compared."""

    def __init__(self) -> None:
        super().__init__((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
        self.compared = 0

    def verify_and_update(self, password: str | bytes, stored: str | bytes) -> tuple[bool, str | None]:
        self.compared += 1
        return super().verify_and_update(password, stored)


class House:
    """The database with its people, and what a test does to them."""

    def __init__(self, database: Database, people: People, clock: Hand, hashing: Cheap) -> None:
        self.database, self.people, self.clock, self.hashing = database, people, clock, hashing

    def add(
        self, email: str = JANE, role: Role = "analyst", tenant_id: str | None = "acme", password: str | None = WORD
    ) -> User:
        """Add a user; jane of acme unless the test says otherwise."""
        return add_user(
            self.database,
            email,
            role=role,
            tenant_id=tenant_id if role == "analyst" else None,
            password=password,
            actor="operator",
            passwords=Passwords(self.hashing),
        )

    def sign_in(self, email: str = JANE, password: str = WORD, *, client: Client = HOME) -> SignedIn:
        return self.people.sign_in(email, password, client=client)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows as the administrator sees them."""
        with self.database.connect_admin() as connection:
            return connection.execute(query.encode(), values).fetchall()

    def deeds(self) -> list[tuple[Any, ...]]:
        """The audit log: who did what."""
        return self.ask("select actor, action from control.audit_log order by audit_id")


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture(scope="package")
def inhabited(cluster: str, template: str) -> Iterator[Database]:
    """A database with tenants acme and globex, which the tests of this folder share."""
    with deployed(cluster, template) as database:
        for tenant in TENANTS:
            add_tenant(database, tenant, display_name=tenant.title())
        yield database


@pytest.fixture
def house(inhabited: Database, clock: Hand) -> Iterator[House]:
    """The shared database, and nobody in it yet."""
    hashing = Cheap()
    with open_people(inhabited, passwords=Passwords(hashing), clock=clock) as people:
        yield House(inhabited, people, clock, hashing)
    with inhabited.connect_admin() as connection:
        connection.execute(EMPTY)
        suspended = connection.execute("select tenant_id from control.tenants where status = 'suspended'").fetchall()
    for (tenant_id,) in suspended:
        resume_tenant(inhabited, tenant_id)
