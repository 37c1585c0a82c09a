"""`make bench`: each measurement on a database of its own, as tables and as JSON. It asserts nothing.

Figures are ratios from one run; run it on a machine that does nothing else.
"""

from __future__ import annotations

import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from bench import (
    analyst,
    consuming,
    crowd,
    fairness,
    gating,
    landing,
    memory,
    promotion,
    publishing,
    readers,
    reading,
    tables,
)
from bench.peers import comparison
from bench.stand import Stand, new_broker, new_stand
from checks.gate import ExpectationsGate
from pipeline.core.database import ServiceRole
from workbench.cli.context import DBT_DIR
from workbench.cli.output import console

T = TypeVar("T")

TERMINATED = 143


class Measurement(StrEnum):
    """What can be measured."""

    LANDING = "landing"
    READING = "reading"
    READERS = "readers"
    PROMOTION = "promotion"
    GATING = "gating"
    ANALYST = "analyst"
    CROWD = "crowd"
    CONSUMING = "consuming"
    PEERS = "peers"
    PUBLISHING = "publishing"
    FAIRNESS = "fairness"
    MEMORY = "memory"


class Results(msgspec.Struct, kw_only=True):
    """Everything of one run; what was not asked for is null."""

    machine: str
    landing: landing.LandingBench | None = None
    reading: list[reading.Reading] | None = None
    readers: readers.ReadersBench | None = None
    promotion: promotion.PromotionBench | None = None
    gating: gating.GatingBench | None = None
    analyst: analyst.AnalystBench | None = None
    crowd: crowd.CrowdBench | None = None
    consuming: consuming.ConsumingBench | None = None
    peers: comparison.PeersBench | None = None
    publishing: publishing.PublishingBench | None = None
    fairness: fairness.FairnessBench | None = None
    memory: memory.MemoryBench | None = None


def main(
    measurements: Annotated[
        list[Measurement] | None, typer.Argument(help="Some of the measurements; all by default.")
    ] = None,
    facts: Annotated[
        list[int] | None, typer.Option(help="Facts of history to promote and to judge on, smallest first; repeat it.")
    ] = None,
    stalled: Annotated[
        int, typer.Option(help="Seconds for which memory is watched while PostgreSQL is stopped.")
    ] = 300,
    folder: Annotated[Path, typer.Option(help="Where databases go: 16 million facts need 30 GiB.")] = Path(
        "bench/results"
    ),
) -> None:
    """Measure against the limits; 16 million facts take about half an hour, what needs a broker another quarter."""
    # `timeout` and the like end it in an orderly way: servers stopped, folders removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(machine=f"{platform.machine()}, Python {platform.python_version()}")
    measure: dict[Measurement, Callable[[], None]] = {
        Measurement.LANDING: lambda: _landing(results, folder),
        Measurement.READING: lambda: _reading(results, folder),
        Measurement.READERS: lambda: _readers(results, folder),
        Measurement.PROMOTION: lambda: _promotion(results, folder, facts or promotion.SIZES),
        Measurement.GATING: lambda: _gating(results, folder, facts or gating.SIZES),
        Measurement.ANALYST: lambda: _analyst(results, folder),
        Measurement.CROWD: lambda: _crowd(results, folder),
        Measurement.CONSUMING: lambda: _consuming(results, folder),
        Measurement.PEERS: lambda: _peers(results, folder),
        Measurement.PUBLISHING: lambda: _publishing(results, folder),
        Measurement.FAIRNESS: lambda: _fairness(results, folder),
        Measurement.MEMORY: lambda: _memory(results, folder, stalled),
    }
    report = folder / "latest.json"
    for chosen in measurements or list(Measurement):
        measure[chosen]()
        report.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    console.print(f"As JSON: {report}")


def _landing(results: Results, folder: Path) -> None:
    with new_stand(folder) as stand:
        results.landing = landing.measure(stand.database)
    tables.print_landing(results.landing)


def _reading(results: Results, folder: Path) -> None:
    with new_stand(folder) as stand:
        results.reading = reading.measure(stand.database)
    tables.print_reading(results.reading)


def _readers(results: Results, folder: Path) -> None:
    with new_stand(folder) as stand:
        results.readers = readers.measure(stand.database, DBT_DIR, tell=console.print)
    tables.print_readers(results.readers)


def _promotion(results: Results, folder: Path, sizes: list[int] | tuple[int, ...]) -> None:
    with new_stand(folder) as stand:
        gate = ExpectationsGate(stand.database.url(ServiceRole.PUBLISHER))
        results.promotion = promotion.measure(stand.database, gate, DBT_DIR, sizes=sizes, tell=console.print)
    tables.print_promotion(results.promotion)


def _gating(results: Results, folder: Path, sizes: list[int] | tuple[int, ...]) -> None:
    with new_stand(folder) as stand:
        results.gating = gating.measure(stand.database, DBT_DIR, sizes=sizes, tell=console.print)
    tables.print_gating(results.gating)


def _analyst(results: Results, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="analyst-", dir=folder) as home, new_stand(folder) as stand:
        results.analyst = analyst.measure(stand.database, Path(home), tell=console.print)
    analyst.print_analyst(results.analyst)


def _crowd(results: Results, folder: Path) -> None:
    with new_stand(folder) as stand:
        results.crowd = crowd.measure(stand, DBT_DIR)
    crowd.print_crowd(results.crowd)


def _consuming(results: Results, folder: Path) -> None:
    results.consuming = _on_stream(folder, consuming.measure)
    tables.print_consuming(results.consuming)


def _peers(results: Results, folder: Path) -> None:
    results.peers = _on_stream(folder, comparison.measure)
    tables.print_peers(results.peers)


def _publishing(results: Results, folder: Path) -> None:
    results.publishing = _on_stream(folder, publishing.measure)
    tables.print_publishing(results.publishing)


def _fairness(results: Results, folder: Path) -> None:
    results.fairness = _on_stream(folder, fairness.measure)
    tables.print_fairness(results.fairness)


def _memory(results: Results, folder: Path, seconds: int) -> None:
    results.memory = _on_stream(folder, lambda stand: memory.measure(stand, seconds=seconds))
    tables.print_memory(results.memory)


def _on_stream(folder: Path, measure: Callable[[Stand], T]) -> T:
    """Measure on a stand with a broker of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="broker-", dir=folder) as home,
        new_broker(Path(home)) as bootstrap,
        new_stand(folder, bootstrap) as stand,
    ):
        return measure(stand)


if __name__ == "__main__":
    typer.run(main)
