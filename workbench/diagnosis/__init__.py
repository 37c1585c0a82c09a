"""What `workbench doctor` checks: this machine, and the database. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec
import psycopg

from pipeline.core.errors import WorkbenchError


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the diagnosis; what is not ok has a remedy."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def ok(name: str, detail: str) -> Check:
    """A check that passed."""
    return Check(name=name, state=State.OK, detail=detail)


def warn(name: str, detail: str, remedy: str) -> Check:
    """Something to know or to do, with which the workbench runs."""
    return Check(name=name, state=State.WARN, detail=detail, remedy=remedy)


def fail(name: str, detail: str, remedy: str) -> Check:
    """Something with which the workbench does not run, or not safely."""
    return Check(name=name, state=State.FAIL, detail=detail, remedy=remedy)


def guarded(name: str, check: Callable[[], Check]) -> Check:
    """The check's answer; one that cannot be made has failed."""
    try:
        return check()
    except WorkbenchError as error:
        return fail(name, error.message, error.remedy or "")
    except (psycopg.Error, OSError) as error:
        return fail(name, f"cannot be checked: {error}", "See the message.")
