"""`make bench`: each measurement on a database of its own, as tables and as JSON. It asserts nothing.

Figures are ratios from one run; run it on a machine that does nothing else.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bench import landing, promotion, reading
from checks.gate import ExpectationsGate
from pipeline.core import deployment
from pipeline.core.database import Database, ServiceRole
from pipeline.core.embedded import EmbeddedPostgres
from workbench.cli.context import DBT_DIR, deploy
from workbench.cli.output import console, print_rows


class Measurement(StrEnum):
    """What can be measured."""

    LANDING = "landing"
    READING = "reading"
    PROMOTION = "promotion"


class Results(msgspec.Struct, kw_only=True):
    """Everything of one run; what was not asked for is null."""

    machine: str
    landing: landing.LandingBench | None = None
    reading: list[reading.Reading] | None = None
    promotion: promotion.PromotionBench | None = None


def main(
    measurements: Annotated[
        list[Measurement] | None, typer.Argument(help="Some of the measurements; all by default.")
    ] = None,
    facts: Annotated[
        list[int] | None, typer.Option(help="Facts of history to promote on, smallest first; repeat it.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where databases go: 16 million facts need 30 GiB.")] = Path(
        "bench/results"
    ),
) -> None:
    """Measure against the limits; 16 million facts take about half an hour."""
    chosen = measurements or list(Measurement)
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(machine=f"{platform.machine()}, Python {platform.python_version()}")
    if Measurement.LANDING in chosen:
        with new_database(folder) as database:
            results.landing = landing.measure(database)
        print_rows(landing_rows(results.landing), title="Landing, rows per second")
    if Measurement.READING in chosen:
        with new_database(folder) as database:
            results.reading = reading.measure(database)
        print_rows([msgspec.to_builtins(row) for row in results.reading], title="Reading under row security")
    if Measurement.PROMOTION in chosen:
        with new_database(folder) as database:
            gate = ExpectationsGate(database.url(ServiceRole.PUBLISHER))
            sizes = facts or promotion.SIZES
            results.promotion = promotion.measure(database, gate, DBT_DIR, sizes=sizes, tell=console.print)
        print_rows(promotion_rows(results.promotion), title=f"Promotion, growth {results.promotion.growth}")
    report = folder / "latest.json"
    report.write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    console.print(f"As JSON: {report}")


def landing_rows(result: landing.LandingBench) -> list[dict[str, object]]:
    """One row per way into the table; the ratio is landing over it."""
    return [
        {"way": way, "median": sorted(rates)[len(rates) // 2], "landing / it": result.ratios.get(way, 1.0)}
        for way, rates in result.rows_per_second.items()
    ]


def promotion_rows(result: promotion.PromotionBench) -> list[dict[str, object]]:
    """One row per size of history; times in seconds."""
    return [
        {"facts": time.facts, "events": time.events, "tenants": time.tenants, "seconds": time.seconds, **time.steps}
        for time in result.sizes
    ]


@contextmanager
def new_database(folder: Path) -> Iterator[Database]:
    """An empty deployment on a server with the settings as shipped, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="database-", dir=folder))
    try:
        with EmbeddedPostgres(home) as server:
            deployment.ensure_database(server.admin_url)
            database = Database(admin_url=server.admin_url)
            deploy(database)
            yield database
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    typer.run(main)
