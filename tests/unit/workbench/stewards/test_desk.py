"""Only stewards and administrators come to the desk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.core.database import Database
from tests.unit.workbench.stewards.holds import STEWARD, request
from workbench.stewards import Decisions, Desk, Outcome, StewardRefused, install, steward_of

asked: list[str] = []


@pytest.fixture
def _desk() -> Iterator[None]:
    """A desk that is installed, and writes down who decides."""
    asked.clear()

    def carry_out(request: Any, actor: str, tell: Any) -> Outcome:
        asked.append(actor)
        tell("Done")
        return Outcome(request=request, ended="done", told="Done.")

    install(Desk(Database(admin_url="postgresql://nowhere/x"), Decisions(carry_out)))
    yield
    install(None)


def of(role: str, tenant_id: str | None = None) -> SimpleNamespace:
    """A request of who has that role."""
    return SimpleNamespace(user={"user_id": "1", "email": STEWARD, "role": role, "tenant_id": tenant_id})


@pytest.mark.usefixtures("_desk")
@pytest.mark.parametrize("role", ["steward", "admin"])
def test_a_steward_decides_in_the_name_that_is_signed_in(role: str) -> None:
    steward = steward_of(of(role))
    assert steward.email == STEWARD
    assert steward.decide(request()).ended == "done"
    assert asked == [STEWARD]


@pytest.mark.usefixtures("_desk")
@pytest.mark.parametrize("role", ["analyst", "", "Steward", "steward "])
def test_nobody_else_comes_to_the_desk(role: str) -> None:
    with pytest.raises(StewardRefused, match="own tenant's usage"):
        steward_of(of(role, "globex"))


@pytest.mark.usefixtures("_desk")
@pytest.mark.parametrize("user", [None, {}, "mira", {"email": "", "role": "steward"}])
def test_who_is_not_signed_in_is_refused(user: Any) -> None:
    with pytest.raises(StewardRefused, match="Nobody is signed in"):
        steward_of(SimpleNamespace(user=user))
    with pytest.raises(StewardRefused, match="Nobody is signed in"):
        steward_of(None)


def test_without_a_server_there_is_no_desk() -> None:
    with pytest.raises(StewardRefused, match="part of the notebook server"):
        steward_of(of("admin"))


def test_the_notebook_brings_neither_dbt_nor_the_checks_into_its_process() -> None:
    heavy = ("dbt", "great_expectations", "pipeline.promote.promoter", "workbench.cli")
    code = f"import sys, workbench.notebooks.quality; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
