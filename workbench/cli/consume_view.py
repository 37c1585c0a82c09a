"""The figures of a consumer as people see them: a live table in a terminal, lines in a log elsewhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workbench.cli.output import console, visible
from workbench.consuming.figures import Figures
from workbench.consuming.standing import Standing

LINE_SECONDS = 10.0
REDRAW_SECONDS = 0.5
QUANTILES = (0.5, 0.95, 0.99)
PARTITIONS_SHOWN = 24


class LogLines:
    """A line every ten seconds in which something landed; when nothing does, a warning if something is amiss."""

    def __init__(self, figures: Figures, standing: Standing, log: logging.Logger) -> None:
        self._figures = figures
        self._standing = standing
        self._log = log
        self._told = 0
        self._problem: str | None = None

    def __call__(self) -> float:
        if self._figures.records != self._told:
            self._told = self._figures.records
            self._log.info(line(self._figures))
            return LINE_SECONDS
        self._standing.lag(patience=0)
        problem = self._standing.problem
        if problem != self._problem:
            if problem:
                self._log.warning("nothing lands: %s", problem)
            else:
                self._log.info("broker and database answer again")
            self._problem = problem
        return LINE_SECONDS


class LiveView:
    """A table that is drawn anew twice a second; what is logged meanwhile appears above it."""

    def __init__(self, figures: Figures, standing: Standing, title: str) -> None:
        self._figures = figures
        self._standing = standing
        self._title = title
        self._handler = _AboveTable()
        self._live = Live(console=console, auto_refresh=False, get_renderable=self._render)
        self._before: list[logging.Handler] = []

    def __call__(self) -> float:
        self._live.refresh()
        return REDRAW_SECONDS

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self._before, root.handlers = root.handlers, [self._handler]
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        logging.getLogger().handlers = self._before

    def _render(self) -> RenderableType:
        # Nothing is waited for here: heartbeats share the thread.
        lag = self._figures.lag(self._standing.lag(patience=0))
        doing = state(self._figures, lag, problem=self._standing.problem, warning=self._handler.warning)
        return table(self._figures, lag, title=self._title, state=doing)


class _AboveTable(logging.Handler):
    """Prints records above the table, and remembers the last warning of landing."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.warning = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING and record.name.startswith("pipeline.stream"):
            self.warning = record.getMessage()
        console.print(Text(visible(self.format(record))), soft_wrap=True)


def line(figures: Figures) -> str:
    """The figures in a line of a log."""
    settled = figures.settled
    lag = figures.lag(None)
    return (
        f"landed {figures.records:,} records ({figures.rate:,.0f}/s): {settled.stored:,} stored, "
        f"{settled.duplicate:,} duplicate, {settled.dead_lettered:,} dead-lettered; "
        f"lag {sum(lag.values()):,} in {len(lag)} partitions; accepted to stored {told_delays(figures)}"
    )


def state(figures: Figures, lag: Mapping[int, int], *, problem: str | None, warning: str) -> str:
    """What the consumer is doing, in a line: `problem` is amiss now, `warning` was told last."""
    if figures.busy:
        return "landing"
    if problem:
        return f"waiting: {problem}"
    if lag and not any(lag.values()):
        return "waiting for records"
    return f"waiting: {warning}" if warning else "waiting for its partitions"


def table(figures: Figures, lag: Mapping[int, int], *, title: str, state: str) -> RenderableType:
    """The figures as a table, with the partitions that are farthest behind."""
    settled = figures.settled
    facts = Table.grid(padding=(0, 2))
    for name, value in (
        ("state", state),
        ("rate", f"{figures.rate:,.0f} records/s"),
        ("landed", f"{figures.records:,} records"),
        ("stored", f"{settled.stored:,}"),
        ("duplicate", f"{settled.duplicate:,}"),
        ("dead-lettered", f"{settled.dead_lettered:,}"),
        ("accepted to stored", told_delays(figures)),
        ("lag", f"{sum(lag.values()):,} records"),
    ):
        facts.add_row(Text(name, style="dim"), Text(visible(value)))
    return Group(Text(visible(title), style="bold"), facts, *_partitions(lag))


def told_delays(figures: Figures) -> str:
    """The delay's quantiles of the last minute."""
    found = figures.delays.quantiles(QUANTILES)
    if found is None:
        return "nothing in the last minute"
    told = ", ".join(
        f"p{quantile * 100:.0f} {_seconds(delay)}" for quantile, delay in zip(QUANTILES, found, strict=True)
    )
    return f"{told} in the last minute"


def _partitions(lag: Mapping[int, int]) -> Sequence[RenderableType]:
    if not lag:
        return ()
    shown = Table(header_style="bold")
    shown.add_column("partition", justify="right")
    shown.add_column("lag", justify="right")
    farthest = sorted(lag.items(), key=lambda item: (-item[1], item[0]))[:PARTITIONS_SHOWN]
    for partition, records in sorted(farthest):
        shown.add_row(str(partition), f"{records:,}")
    left = len(lag) - PARTITIONS_SHOWN
    return (shown, Text(f"... and {left} partitions more, less behind.")) if left > 0 else (shown,)


def _seconds(delay: float) -> str:
    return f"{delay * 1_000:.0f} ms" if delay < 1 else f"{delay:,.1f} s"
