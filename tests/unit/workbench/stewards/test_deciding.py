"""A decision happens once, however often it is asked for."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.workbench.stewards.holds import STEWARD, request
from workbench.stewards.deciding import REMEMBERED, Decisions, Tell
from workbench.stewards.decision import Outcome, Request
from workbench.stewards.errors import DecisionError

SECONDS = 10


class Carrier:
    """Carries decisions out when it is let, and counts them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.begun = threading.Event()
        self.let = threading.Event()

    def __call__(self, request: Request, actor: str, tell: Tell) -> Outcome:
        self.asked.append((request.token, actor))
        tell("Beginning")
        self.begun.set()
        assert self.let.wait(SECONDS)
        tell("Ending")
        return Outcome(request=request, ended="done", told=f"{len(self.asked)}")


def test_a_double_click_decides_once_and_both_hear_how_it_goes_and_ends() -> None:
    carrier = Carrier()
    decisions = Decisions(carrier)
    heard: list[list[str]] = [[], [], []]
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(decisions.decide, request(), actor=STEWARD, tell=steps.append) for steps in heard]
        assert carrier.begun.wait(SECONDS)
        carrier.let.set()
        outcomes = [each.result(SECONDS) for each in asked]
    assert carrier.asked == [("t1", STEWARD)]
    assert {outcome.told for outcome in outcomes} == {"1"}
    assert heard == [["Beginning", "Ending"]] * 3


def test_a_cell_that_runs_again_after_the_end_is_answered_how_it_ended() -> None:
    carrier = Carrier()
    carrier.let.set()
    decisions = Decisions(carrier)
    first = decisions.decide(request(), actor=STEWARD)
    assert decisions.decide(request(), actor=STEWARD) is first
    assert len(carrier.asked) == 1
    decisions.decide(request(token="t2"), actor=STEWARD)
    assert len(carrier.asked) == 2


def test_a_token_stands_for_one_decision_of_one_person() -> None:
    carrier = Carrier()
    carrier.let.set()
    decisions = Decisions(carrier)
    decisions.decide(request(), actor=STEWARD)
    for other, actor in ((request("discard"), STEWARD), (request(), "noor@example.com")):
        with pytest.raises(DecisionError, match="another decision already"):
            decisions.decide(other, actor=actor)
    assert len(carrier.asked) == 1


def test_who_asked_may_go_away_and_the_decision_goes_on() -> None:
    carrier = Carrier()
    decisions = Decisions(carrier)

    def hang_up(step: str) -> None:
        raise ConnectionError(step)

    with pytest.raises(ConnectionError):
        decisions.decide(request(), actor=STEWARD, tell=hang_up)
    carrier.let.set()
    assert decisions.decide(request(), actor=STEWARD).ended == "done"
    assert len(carrier.asked) == 1


def test_what_breaks_is_told_to_all_who_ask() -> None:
    def breaks(request: Request, actor: str, tell: Tell) -> Outcome:
        raise OSError(f"no process for {request.tenant_id}, {actor}, {tell}")

    decisions = Decisions(breaks)
    for _ in range(2):
        with pytest.raises(OSError, match="no process for globex"):
            decisions.decide(request(), actor=STEWARD)


def test_only_the_latest_are_remembered() -> None:
    carrier = Carrier()
    carrier.let.set()
    decisions = Decisions(carrier)
    for number in range(REMEMBERED + 2):
        decisions.decide(request(token=f"t{number}"), actor=STEWARD)
    decisions.decide(request(token=f"t{REMEMBERED + 1}"), actor=STEWARD)
    assert len(carrier.asked) == REMEMBERED + 2
    assert len(decisions._known) <= REMEMBERED + 1
