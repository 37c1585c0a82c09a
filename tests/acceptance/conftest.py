"""How long the tests with faults go on, and with which choices: `make chaos` asks for more than `make test`."""

from __future__ import annotations

import secrets

import pytest

SHORT_FORM = {"kills": 7, "faults": 6, "events": 5_000, "runs": 1, "zombie-seconds": 0, "rebalances": 5}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where pytest is pointed at this folder; elsewhere the short form runs."""
    helps = {
        "kills": "How many processes the kill test kills.",
        "faults": "How many faults each run of the chaos test has.",
        "events": "How many events each run of the chaos test has at least.",
        "runs": "How often the chaos test runs, each time with another seed.",
        "zombie-seconds": "How long a consumer is stopped, at least for longer than its session.",
        "rebalances": "How many rebalances are forced.",
    }
    for name, value in SHORT_FORM.items():
        parser.addoption(f"--{name}", type=int, default=value, help=helps[name])
    parser.addoption("--seed", type=int, default=None, help="Repeats the choices of a test, not its timing.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs are numbered, not named by their seeds, on which several workers could not agree."""
    if "run" in metafunc.fixturenames:
        metafunc.parametrize("run", range(_option(metafunc.config, "runs")))


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many processes are killed."""
    return _option(request.config, "kills")


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    """How many faults a run has."""
    return _option(request.config, "faults")


@pytest.fixture
def events(request: pytest.FixtureRequest) -> int:
    """How many events a run has at least."""
    return _option(request.config, "events")


@pytest.fixture
def zombie_seconds(request: pytest.FixtureRequest) -> int:
    """How long a consumer is stopped."""
    return _option(request.config, "zombie-seconds")


@pytest.fixture
def rebalances(request: pytest.FixtureRequest) -> int:
    """How many rebalances are forced."""
    return _option(request.config, "rebalances")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What the test's choices follow from; printed, so that it can be given again."""
    given = request.config.getoption("--seed", None)
    chosen = secrets.randbelow(1_000_000) if given is None else int(given)
    print(f"--seed {chosen}")
    return chosen


def _option(config: pytest.Config, name: str) -> int:
    return int(config.getoption(f"--{name}", SHORT_FORM[name]))
