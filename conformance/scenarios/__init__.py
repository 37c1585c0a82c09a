"""The scenarios, in the order of the table."""

from __future__ import annotations

from conformance.scenario import Scenario
from conformance.scenarios.checking import BAD_ROWS, BLINDED
from conformance.scenarios.failing import KILLED, UNDONE
from conformance.scenarios.growing import GROWTH
from conformance.scenarios.reading import OPEN_READER, READERS, SNAPSHOT
from conformance.scenarios.securing import SECURITY

SCENARIOS: tuple[Scenario, ...] = (
    READERS,
    SNAPSHOT,
    OPEN_READER,
    SECURITY,
    BAD_ROWS,
    BLINDED,
    KILLED,
    UNDONE,
    GROWTH,
)
