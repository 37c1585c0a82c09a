"""One command shows the whole way: a dirty tenant is held, everyone else goes through, and it may run again.

On a few made-up events; the real ones take the same way in `test_real_data.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.stack import UserStack

DEMO = ("demo", "--exit", "--synthetic", "3000", "--tenants", "8", "--seed", "7", "--port", "0")
EVENTS, TENANTS = 3_000, 8
DIRTY, DIRTY_EVENTS = "clock-ahead", 240


def test_the_demo_holds_the_dirty_tenant_alone_and_continues_with_the_same_data_when_run_again(tmp_path: Path) -> None:
    stack = UserStack(tmp_path, notebooks_port=0)
    assert "All of it holds" in demo(stack)
    first = status_with_only_the_dirty_tenant_held(stack)
    assert sum(tenant["stored"] for tenant in first.values()) == EVENTS + DIRTY_EVENTS

    again = demo(stack)
    assert ": 0 accepted" in again
    assert "All of it holds" in again
    second = status_with_only_the_dirty_tenant_held(stack)
    for name, tenant in second.items():
        assert tenant["stored"] == first[name]["stored"]
        assert tenant["duplicate"] == tenant["accepted"] - tenant["stored"]


def demo(stack: UserStack) -> str:
    """What the demo tells, as a process that ends by itself with exit code 0, and everything with it."""
    told = stack.process(*DEMO)
    assert stack.postmaster() is None
    return told


def status_with_only_the_dirty_tenant_held(stack: UserStack) -> dict[str, Any]:
    """Each tenant's figures, once it is sure who is held, and why."""
    status = stack.workbench.json("status")
    assert status["stack"] is None
    tenants = {tenant["tenant_id"]: tenant for tenant in status["tenants"]}
    assert len(tenants) == TENANTS + 1
    assert {name: tenant["held"] for name, tenant in tenants.items() if tenant["held"]} == {DIRTY: "failed"}
    assert {name: tenant["pending"] for name, tenant in tenants.items() if tenant["pending"]} == {DIRTY: DIRTY_EVENTS}
    [reason] = status["reasons"]
    assert (reason["tenant_id"], reason["rule"]) == (DIRTY, "clock_is_not_ahead")
    assert reason["failing_rows"] == DIRTY_EVENTS
    return tenants
