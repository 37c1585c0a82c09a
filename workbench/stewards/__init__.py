"""The steward at the notebook: what may be read of all tenants' quality, and decisions about who is held.

Reading is as the role `workbench_steward`. Deciding is `workbench holds ...`, in a process of its own, in the name
of who is signed in: dbt and Great Expectations never come into the notebook server.
"""

from workbench.stewards.deciding import Decisions
from workbench.stewards.decision import Outcome, Request
from workbench.stewards.desk import Desk, current, install, steward_of
from workbench.stewards.errors import DecisionError, StewardRefused
from workbench.stewards.process import Process
from workbench.stewards.steward import Steward

__all__ = [
    "DecisionError",
    "Decisions",
    "Desk",
    "Outcome",
    "Process",
    "Request",
    "Steward",
    "StewardRefused",
    "current",
    "install",
    "steward_of",
]
