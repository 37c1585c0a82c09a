"""Throttling as a function of failures and the clock; storing them is tested on a database."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.factories import MOMENT
from workbench.people.attempts import PER_ADDRESS, PER_EMAIL, WINDOW, Limit, of_address, of_email
from workbench.people.errors import TooManyAttempts

ages = st.integers(0, 2 * int(WINDOW.total_seconds())).map(lambda seconds: timedelta(seconds=seconds))
failures = st.lists(ages.map(lambda age: MOMENT - age), max_size=30)
limits = st.builds(Limit, kind=st.sampled_from(["email", "address"]), most=st.integers(1, 8))


def test_the_limits_are_five_for_an_email_and_twenty_for_an_address() -> None:
    assert (PER_EMAIL.most, PER_ADDRESS.most, WINDOW) == (5, 20, timedelta(minutes=15))


@given(limits, failures)
def test_an_attempt_waits_exactly_while_as_many_failed_within_the_window(limit: Limit, failed: list[datetime]) -> None:
    def counting(at: datetime) -> int:
        return sum(moment > at - WINDOW for moment in failed)

    wait = limit.wait(failed, MOMENT)
    assert bool(wait) == (counting(MOMENT) >= limit.most)
    assert timedelta() <= wait <= WINDOW
    assert counting(MOMENT + wait) < limit.most, "after the wait it would be refused again"
    if wait:
        assert counting(MOMENT + wait - timedelta(microseconds=1)) >= limit.most, "the wait is longer than needed"


@given(limits, failures)
def test_forgetting_what_no_longer_counts_changes_no_answer(limit: Limit, failed: list[datetime]) -> None:
    recent = limit.recent(failed, MOMENT)
    assert len(recent) <= limit.most
    for later in (timedelta(), timedelta(minutes=4), WINDOW - timedelta(seconds=1), WINDOW):
        assert limit.wait(recent, MOMENT + later) == limit.wait(failed, MOMENT + later)


def test_an_email_is_one_subject_however_it_is_spelt() -> None:
    assert of_email("Jane@Acme.com ") == of_email("jane@acme.com")
    assert of_email("jane@acme.com") != of_email("jane@acme.org")
    assert b"jane" not in of_email("jane@acme.com").hash


def test_an_address_is_the_network_that_one_subscriber_has() -> None:
    assert of_address("2001:db8:1:2::1") == of_address("2001:db8:1:2:ffff::9")
    assert of_address("2001:db8:1:2::1") != of_address("2001:db8:1:3::1")
    assert of_address("192.0.2.1") != of_address("192.0.2.2")
    assert of_address("::ffff:192.0.2.1") == of_address("192.0.2.1")
    assert of_address(None) == of_address("testclient") == of_address("")


def test_the_wait_is_told_in_words_and_in_whole_seconds() -> None:
    assert TooManyAttempts(0.2).wait_seconds == 1
    assert "Try again in a second." in str(TooManyAttempts(0.2))
    assert "Try again in 45 seconds." in str(TooManyAttempts(44.1))
    assert "Try again in 15 minutes." in str(TooManyAttempts(14 * 60 + 1))
