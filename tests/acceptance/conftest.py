"""How long the kill test goes on, and with which choices: `make chaos` asks for more than `make test`."""

from __future__ import annotations

import secrets

import pytest

SHORT_FORM = 7


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where pytest is pointed at this folder; elsewhere the short form runs."""
    parser.addoption("--kills", type=int, default=SHORT_FORM, help="How many processes the kill test kills.")
    parser.addoption("--seed", type=int, default=None, help="Repeats the choices of a kill test, not its timing.")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many processes are killed."""
    return int(request.config.getoption("--kills", SHORT_FORM))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What the test's choices follow from; printed, so that it can be given again."""
    given = request.config.getoption("--seed", None)
    chosen = secrets.randbelow(1_000_000) if given is None else int(given)
    print(f"--seed {chosen}")
    return chosen
