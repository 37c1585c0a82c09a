"""Throttling on the database: against a model over any order of attempts, at once, and forgotten in time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random

import psycopg
import pytest

from pipeline.core.database import ServiceRole
from tests.factories import MOMENT
from tests.integration.notebooks.people.conftest import JANE, WORD, House
from workbench.people import attempts
from workbench.people.attempts import PER_ADDRESS, PER_EMAIL, WINDOW
from workbench.people.errors import SignInRefused, TooManyAttempts
from workbench.people.principal import Client
from workbench.people.register import set_password

WALKS, STEPS = 25, 60
EMAILS, ADDRESSES = 7, 2
PAUSES = (0, 0, 1, 20, 60, 180, 899, 900)
"""Seconds between attempts: many at a moment, and on both sides of the window's end."""


class Model:
    """What must become of each attempt, by the moments that are remembered of those before."""

    def __init__(self) -> None:
        self.failed: dict[tuple[str, int], list[datetime]] = defaultdict(list)

    def wait(self, kind: str, subject: int, most: int, now: datetime) -> timedelta | None:
        recent = [moment for moment in self.failed[kind, subject] if now - moment < WINDOW]
        return recent[-most] + WINDOW - now if len(recent) >= most else None

    def attempt(self, email: int, address: int, succeeds: bool, now: datetime) -> tuple[str, timedelta] | None:
        """Because of which limit it has to wait and how long, or None if it is looked at."""
        for kind, subject, most in (("address", address, PER_ADDRESS.most), ("email", email, PER_EMAIL.most)):
            if (wait := self.wait(kind, subject, most, now)) is not None:
                return kind, wait
        if succeeds:
            self.failed["email", email].clear()
        else:
            self.failed["email", email].append(now)
            self.failed["address", address].append(now)
        return None


@pytest.fixture
def door(house: House) -> Iterator[psycopg.Connection]:
    """A connection as the server that lets people in."""
    with house.database.connect(ServiceRole.NOTEBOOKS, autocommit=True) as connection:
        yield connection


def test_any_order_of_attempts_is_refused_as_the_model_says(door: psycopg.Connection) -> None:
    refused = Counter[str]()
    for walk in range(WALKS):
        fate, model, now = Random(walk), Model(), MOMENT
        pauses = PAUSES[: fate.randint(2, len(PAUSES))]
        for step in range(STEPS):
            now += timedelta(seconds=fate.choice(pauses))
            email, address, succeeds = fate.randrange(EMAILS), fate.randrange(ADDRESSES), fate.random() < 0.1
            who = attempts.subjects(email=f"{email}@{walk}", address=f"10.{walk}.0.{address}")
            expected = model.attempt(email, address, succeeds, now)
            if expected is not None:
                refused[expected[0]] += 1
                with pytest.raises(TooManyAttempts) as waiting:
                    attempts.begin(door, who, now)
                late = waiting.value.wait_seconds - expected[1].total_seconds()
                assert 0 <= late < 1, f"walk {walk}, step {step}"
                continue
            attempt = attempts.begin(door, who, now)
            if succeeds:
                with door.transaction():
                    attempts.succeed(door, attempt)
    assert min(refused["email"], refused["address"]) > 50, "the walks hardly meet a limit"


def test_after_five_failures_the_right_password_has_to_wait_too(house: House) -> None:
    house.add()
    for _ in range(5):
        with pytest.raises(SignInRefused) as refused:
            house.sign_in(password="wrong")
        assert not isinstance(refused.value, TooManyAttempts)
        house.clock.pass_by(minutes=1)
    compared = house.hashing.compared
    with pytest.raises(TooManyAttempts) as waiting:
        house.sign_in()
    assert waiting.value.wait_seconds == 10 * 60
    assert house.hashing.compared == compared, "a refused attempt costs no hash"
    house.clock.pass_by(seconds=10 * 60 - 1)
    with pytest.raises(TooManyAttempts):
        house.sign_in()
    house.clock.pass_by(seconds=1)
    house.sign_in()


def test_whether_there_is_such_a_user_makes_no_difference(house: House) -> None:
    house.add()
    told: list[list[tuple[type, str]]] = []
    for email in (JANE, "nobody@acme.com", "no address"):
        said = []
        for _ in range(7):
            with pytest.raises(SignInRefused) as refused:
                house.sign_in(email, "wrong", client=Client(address=f"192.0.2.{len(told)}"))
            said.append((type(refused.value), str(refused.value)))
        told.append(said)
    assert told[0] == told[1] == told[2]
    assert [kind for kind, _ in told[0]] == [SignInRefused] * 5 + [TooManyAttempts] * 2


def test_success_forgets_the_failures_of_the_email_but_not_of_others_from_there(house: House) -> None:
    house.add()
    for _ in range(3):
        for number in range(4):
            with pytest.raises(SignInRefused):
                house.sign_in(JANE, "wrong")
            with pytest.raises(SignInRefused):
                house.sign_in(f"other{number}@acme.com", "wrong", client=Client(address="192.0.2.9"))
        house.sign_in()
    kinds = "select kind, cardinality(failed_at) from control.failed_sign_ins order by kind, 2"
    assert house.ask(kinds) == [("address", 12), ("address", 12), *[("email", 3)] * 4]


def test_an_address_is_refused_after_twenty_whatever_the_emails(house: House) -> None:
    house.add()
    there = Client(address="2001:db8:1:2::1")
    for number in range(20):
        with pytest.raises(SignInRefused) as refused:
            house.sign_in(f"user{number}@acme.com", "wrong", client=there)
        assert not isinstance(refused.value, TooManyAttempts)
    with pytest.raises(TooManyAttempts):
        house.sign_in(client=Client(address="2001:db8:1:2:ffff::2"))
    house.sign_in(client=Client(address="2001:db8:1:3::1"))


def test_many_attempts_at_once_are_no_more_than_many_in_turn(house: House) -> None:
    house.add()

    def guess(number: int) -> type[BaseException] | None:
        try:
            house.sign_in(password=f"guess {number}", client=Client(address=f"192.0.2.{number}"))
        except SignInRefused as refused:
            return type(refused)
        return None

    with ThreadPoolExecutor(max_workers=16) as threads:
        answers = list(threads.map(guess, range(48)))
    assert answers.count(SignInRefused) == house.hashing.compared == 5
    assert answers.count(TooManyAttempts) == 43


def test_attempts_of_all_from_everywhere_at_once_stand_in_nobodys_way_for_ever(house: House) -> None:
    """Both rows of an attempt are locked: in one order, or some of these would lock each other out."""
    emails = [f"user{number}@acme.com" for number in range(4)]
    for email in emails:
        house.add(email)

    def attempt(number: int) -> bool:
        client = Client(address=f"192.0.2.{number % 3}")
        try:
            house.sign_in(emails[number % 4], WORD if number % 2 else "wrong", client=client)
        except SignInRefused:
            return False
        return True

    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = list(threads.map(attempt, range(120)))
    assert any(answers)
    sizes = house.ask("select kind, max(cardinality(failed_at)) from control.failed_sign_ins group by kind")
    assert all(size <= {"address": 20, "email": 5}[kind] for kind, size in sizes)


def test_a_new_password_lets_the_user_try_again_at_once(house: House) -> None:
    house.add()
    for _ in range(5):
        with pytest.raises(SignInRefused):
            house.sign_in(password="wrong")
    set_password(house.database, JANE, "mango7 piano2 fog", actor="operator")
    house.sign_in(password="mango7 piano2 fog")


def test_what_no_longer_counts_is_removed(house: House) -> None:
    rows = "select count(*) from control.failed_sign_ins"
    for number in range(30):
        with pytest.raises(SignInRefused):
            house.sign_in(f"user{number}@acme.com", "wrong", client=Client(address=f"192.0.2.{number}"))
    assert house.ask(rows) == [(60,)]
    house.clock.now += WINDOW
    with pytest.raises(SignInRefused):
        house.sign_in("last@acme.com", "wrong")
    assert house.ask(rows) == [(2,)]


def test_the_log_tells_which_refusal_was_the_last_that_is_looked_at_and_grows_no_further(house: House) -> None:
    house.add()
    for _ in range(9):
        with pytest.raises(SignInRefused):
            house.sign_in(password="wrong")
    blocks = house.ask("select details -> 'blocks' from control.audit_log where action = 'refuse sign-in'")
    assert blocks == [([],)] * 4 + [(["email"],)]
