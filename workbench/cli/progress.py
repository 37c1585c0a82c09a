"""The bar that shows how far something is, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from workbench.cli.output import errors, visible


@contextmanager
def progress_bar(
    title: str, *, total: int | None, position: Callable[[], int], events: Callable[[], int]
) -> Iterator[Callable[[], None]]:
    """Yields what redraws the bar: `position` is how far of `total`, `events` how many are done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors) as bar:
        task = bar.add_task(visible(title), total=total, events=0)
        yield lambda: bar.update(task, completed=position(), events=events())
