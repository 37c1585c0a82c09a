"""Which passwords may be set."""

from __future__ import annotations

import pytest

from workbench.people.errors import PasswordRefused
from workbench.people.strength import SHORTEST, require_strong

EMAIL = "jane.doe@acme.com"


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "éléphant-bleu-vole",
        "Tr0ub4dor&3xyz",
        "mango7 piano2 fog",
        "jane likes mango trees",
        "x" * 4 + "yzabcdefg1K",
    ],
)
def test_a_password_that_nobody_guesses_early_is_taken(password: str) -> None:
    require_strong(password, email=EMAIL)


@pytest.mark.parametrize("length", [0, 1, SHORTEST - 1])
def test_a_short_one_is_refused_with_the_length_it_needs(length: int) -> None:
    with pytest.raises(PasswordRefused, match="fewer than 12"):
        require_strong("Kx9#mQ2$vL7@"[:length], email=EMAIL)


def test_an_endless_one_is_refused() -> None:
    with pytest.raises(PasswordRefused, match="more than 1,000"):
        require_strong("mango7 piano2 fog" * 100, email=EMAIL)


@pytest.mark.parametrize(
    "password",
    [
        *("Password1234!", "p@ssw0rd1234", "P@55w0rd!!!!!", "passwordpassword", "password1password1"),
        *("1q2w3e4r5t6y", "qwertyuiop12", "123456qwerty", "qwertyuiopasdfgh", "012345678901", "987654321098"),
        *("abc123abc123", "aaaaaaaaaaaa", "121212121212", "iloveyou2026", "letmein!letmein!", "Summer2026!!!"),
        *("Administrator1", "workbench2026", "2026analytics!", "trustno1trustno1"),
    ],
)
def test_what_is_guessed_first_is_refused_however_it_is_dressed_up(password: str) -> None:
    with pytest.raises(PasswordRefused, match="first that are guessed") as refused:
        require_strong(password, email=EMAIL)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "password",
    [
        "jane.doe@acme.com",
        "Jane.Doe@Acme.com!!",
        "my jane.doe@acme.com",
        "jane.doe1234",
        "jane.doeacme",
        "acme.com2026!",
    ],
)
def test_the_users_own_name_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused, match="e-mail address"):
        require_strong(password, email=EMAIL)


def test_the_password_is_not_in_what_is_said_about_it() -> None:
    for password in ("Kx9#mQ2", "password1234", "jane.doe1234"):
        with pytest.raises(PasswordRefused) as refused:
            require_strong(password, email=EMAIL)
        assert password not in str(refused.value)
