"""Errors of people and their accounts.

WorkbenchError
├── SignInRefused          at the door: says nothing of whether there is such a user
│   └── TooManyAttempts
└── UserError              in the register, where the operator may know
    └── PasswordRefused
"""

from __future__ import annotations

from math import ceil

from pipeline.core.errors import WorkbenchError


class SignInRefused(WorkbenchError):
    """The e-mail or the password is wrong, or the account may not sign in."""


class TooManyAttempts(SignInRefused):
    """There were too many failed sign-ins for this e-mail or from this address."""

    def __init__(self, wait_seconds: float) -> None:
        self.wait_seconds = ceil(wait_seconds)
        """Seconds until the next attempt is looked at, 1 or more: a `Retry-After`."""
        super().__init__(remedy=f"Try again in {_spoken(self.wait_seconds)}.")


class UserError(WorkbenchError):
    """The user is unknown, already there, or cannot be what was asked for."""


class PasswordRefused(UserError):
    """The password is too weak to be set."""


def _spoken(seconds: int) -> str:
    if seconds <= 90:
        return f"{seconds} seconds" if seconds != 1 else "a second"
    return f"{ceil(seconds / 60)} minutes"
