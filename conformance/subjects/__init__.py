"""The ways of publishing that the kit knows. Another one is a module that implements `conformance.port.Subject`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from conformance.port import Subject
from conformance.subjects.dbt_build import DbtBuild
from conformance.subjects.materialized_views import MaterializedViews
from conformance.subjects.ours import Ours
from conformance.subjects.rename_swap import RenameSwap
from pipeline.core.database import Database

SUBJECTS: Mapping[str, Callable[[Database], Subject]] = {
    "workbench": Ours,
    "dbt build": DbtBuild,
    "dbt build, hooks": lambda database: DbtBuild(database, hooks=True),
    "rename swap": RenameSwap,
    "matview refresh": MaterializedViews,
}
"""Name to what makes one on a fresh database."""

VARIANTS: Mapping[str, tuple[str, ...]] = {"dbt build, hooks": ("security",)}
"""Subjects that differ from another one in these scenarios only, and are not run in others unless asked for."""
