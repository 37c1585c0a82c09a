"""Parts of the machine that some tests need: where one is missing, the test is skipped, or fails on demand.

`REQUIRE_REAL_PARTS=1` is the demand: continuous integration must not pass by skipping.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def real_parts_are_required() -> bool:
    """Whether a missing part fails the tests that need it."""
    return os.environ.get("REQUIRE_REAL_PARTS", "0") not in ("", "0")


def missing(reason: str) -> NoReturn:
    """End this test, since a part is missing: `reason` names it and how to get it."""
    if real_parts_are_required():
        pytest.fail(f"REQUIRE_REAL_PARTS is set. {reason}", pytrace=False)
    pytest.skip(reason)
