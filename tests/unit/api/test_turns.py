"""Turns: a few of a tenant at a time, the others in order, and never more than may wait."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.refusals import Refusal
from api.turns import Turns


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40))
def test_bounds_hold_whoever_asks_and_all_turns_come_back(requests: list[tuple[str, int]]) -> None:
    turns, having, most, refused = Turns(at_once=2, of_one=4, of_all=8), Counter[str](), Counter[str](), []

    async def ask(tenant: str, steps: int) -> None:
        try:
            async with turns.take(tenant):
                having[tenant] += 1
                most[tenant] = max(most[tenant], having[tenant])
                for _ in range(steps):
                    await asyncio.sleep(0)
                having[tenant] -= 1
        except Refusal as refusal:
            refused.append(refusal.status)

    async def ask_all() -> None:
        await asyncio.gather(*(ask(*request) for request in requests))

    asyncio.run(ask_all())
    assert all(count <= 2 for count in most.values())
    assert set(refused) <= {429, 503}
    of_each = Counter(tenant for tenant, _ in requests)
    assert len(refused) == 0 or max(of_each.values()) > 4 or len(requests) > 8
    asyncio.run(ask("a", 0))
    assert having.total() == 0


def test_a_turn_comes_back_when_its_holder_fails() -> None:
    turns = Turns(at_once=1, of_one=1, of_all=1)

    async def fail_and_ask() -> None:
        with pytest.raises(ZeroDivisionError):
            async with turns.take("a"):
                raise ZeroDivisionError
        async with turns.take("a"):
            with pytest.raises(Refusal):
                async with turns.take("b"):
                    pass

    asyncio.run(fail_and_ask())
