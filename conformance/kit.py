"""Runs scenarios on subjects, each on a fresh database. It judges nothing itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

from conformance.landing import Landing
from conformance.port import Subject
from conformance.scenario import Effort, Scenario, Trial
from conformance.stand import Stand
from conformance.table import Report, Row
from pipeline.core.database import Database

Tell = Callable[[str], None]


def run(
    stand: Stand,
    subjects: Mapping[str, Callable[[Database], Subject]],
    scenarios: Sequence[Scenario],
    effort: Effort,
    *,
    only: Mapping[str, Sequence[str]] = {},
    tell: Tell = lambda _: None,
) -> Report:
    """Every scenario on every subject, but for those that `only` limits; one that breaks is told as such."""
    began = time.perf_counter()
    rows = [
        row
        for scenario in scenarios
        for name, create in subjects.items()
        if scenario.name in only.get(name, (scenario.name,))
        for row in _try(stand, name, create, scenario, effort, tell)
    ]
    seconds = round(time.perf_counter() - began, 1)
    return Report(postgresql=stand.version, dbt=version("dbt-core"), seconds=seconds, rows=rows)


def _try(
    stand: Stand, name: str, create: Callable[[Database], Subject], scenario: Scenario, effort: Effort, tell: Tell
) -> list[Row]:
    began = time.perf_counter()
    with stand.fresh() as database:
        subject = create(database)
        subject.prepare()
        trial = Trial(database=database, subject=subject, landing=Landing(database), effort=effort)
        try:
            answers: list[tuple[bool | None, str]] = [(one.holds, one.detail) for one in scenario.run(trial)]
        except Exception as error:  # noqa: BLE001 - the table says so, in place of a verdict
            answers = [(None, f"{type(error).__name__}: {error}")] * len(scenario.promises)
    tell(f"{scenario.name}, {name}: {time.perf_counter() - began:.0f} s")
    return [
        Row(scenario=scenario.name, promise=promise, subject=name, holds=holds, detail=detail)
        for promise, (holds, detail) in zip(scenario.promises, answers, strict=True)
    ]
