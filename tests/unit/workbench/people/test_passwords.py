"""Hashes of passwords: right, wrong, of nobody, of older parameters, and never computed without bound."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from workbench.people.passwords import AT_ONCE, LONGEST, Passwords

WORD = "correct horse battery"


class Counting(PasswordHash):
    """Cheap hashes that count how often, and how many at a time, one is compared.

    With `patience` each comparison waits that many seconds for more to come than there may be.
    """

    def __init__(self, patience: float = 0) -> None:
        super().__init__((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
        self.compared = self.at_once = self.most_at_once = 0
        self._patience, self._lock, self._too_many = patience, threading.Lock(), threading.Event()

    def verify_and_update(self, password: str | bytes, stored: str | bytes) -> tuple[bool, str | None]:
        with self._lock:
            self.compared += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        if self.at_once > AT_ONCE:
            self._too_many.set()
        self._too_many.wait(self._patience)
        result = super().verify_and_update(password, stored)
        with self._lock:
            self.at_once -= 1
        return result


@pytest.fixture
def hashing() -> Counting:
    return Counting()


@pytest.fixture
def passwords(hashing: Counting) -> Passwords:
    return Passwords(hashing)


def test_the_kept_librarys_own_parameters_are_used() -> None:
    assert Passwords().hash(WORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


def test_a_password_matches_its_own_hash_alone(passwords: Passwords) -> None:
    stored = passwords.hash(WORD)
    assert WORD not in stored
    assert passwords.compare(WORD, stored).matches
    for wrong in ("", WORD.upper(), WORD + " ", WORD[:-1]):
        assert not passwords.compare(wrong, stored).matches
    assert passwords.hash(WORD) != stored, "the salt is another one each time"


def test_the_same_letters_match_however_they_are_composed(passwords: Passwords) -> None:
    assert passwords.compare("e\u0301le\u0301phant bleu", passwords.hash("\u00e9l\u00e9phant bleu")).matches


@pytest.mark.parametrize("password", ["", WORD, "x" * (LONGEST + 1), "\ud800 lone surrogate", "NUL \x00 within"])
def test_nobody_has_no_password_and_takes_as_many_comparisons(
    passwords: Passwords, hashing: Counting, password: str
) -> None:
    assert not passwords.compare(password, None).matches
    assert hashing.compared == 1
    assert not passwords.compare(password, passwords.hash("another one altogether")).matches
    assert hashing.compared == 2


def test_an_endless_password_never_matches(passwords: Passwords) -> None:
    assert not passwords.compare("x" * (LONGEST + 1), passwords.hash("x" * (LONGEST + 1))).matches
    assert not passwords.compare("x" * (LONGEST + 1), passwords.hash("")).matches


def test_a_hash_of_other_parameters_is_made_anew_when_the_password_is_right(passwords: Passwords) -> None:
    old = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=16, parallelism=1),)).hash(WORD)
    assert passwords.compare("wrong", old).rehashed is None
    renewed = passwords.compare(WORD, old).rehashed
    assert renewed is not None
    assert "m=8,t=1,p=1" in renewed
    again = passwords.compare(WORD, renewed)
    assert (again.matches, again.rehashed) == (True, None)


def test_no_more_than_a_few_hashes_are_computed_at_once() -> None:
    hashing = Counting(patience=0.2)
    passwords = Passwords(hashing)
    with ThreadPoolExecutor(max_workers=3 * AT_ONCE) as threads:
        answers = list(threads.map(lambda _: passwords.compare(WORD, None), range(3 * AT_ONCE)))
    assert not any(answer.matches for answer in answers)
    assert hashing.compared == 3 * AT_ONCE
    assert hashing.most_at_once == AT_ONCE
