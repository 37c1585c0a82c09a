"""For each user or session, how far it got through the steps of a funnel, and when.

A sequence of k steps is k different events e1 … ek of one actor that count for the steps 1 … k, none earlier
than the one before, with ek at most the window (inclusive) after e1. Hence:

- Any start will do: an actor completes the funnel if some event of step 1, not only the first one, begins a
  complete sequence.
- Events of the same microsecond have no order: each may come before the other.
- An event stands for one step only, even if it counts for several.
- Where nothing may lie between, the actor has no event at a moment strictly between those of two steps in a row.

One sequence is told of each actor: of those with the most steps the one that ends first; of these the one that
starts last; of these the one whose steps come as early as possible.

How it is computed. An instant is a row: all events of an actor at one microsecond, in the order of time, actor
after actor. For each instant and number of steps k, the latest instant at which a sequence of k steps that ends
here can start follows from that for fewer steps at earlier instants, since the later the start, the better. As
instants are told by their number, which grows with time within an actor and from actor to actor, "the latest
so far" is one running maximum over all actors. Whether one instant has an own event for each of the steps
i … j is Hall's condition on how many of its events count for each set of steps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from itertools import combinations
from typing import Literal

import polars as pl

Between = Literal["anything", "nothing"]
NONE = pl.lit(-1, pl.Int32)
"""No instant."""


def instants(events: pl.LazyFrame, matches: list[pl.Expr], between: Between) -> pl.DataFrame:
    """One row per actor and microsecond, sorted: actor, at, row, first (row of the actor's first), and for each
    i <= j the Boolean can_i_j: these events can be the steps i … j, an own event each.

    `events` has actor (never null) and at, besides what `matches`, one expression a step, needs.
    """
    bits = [pl.when(match).then(pl.lit(1 << place, pl.UInt8)).otherwise(0) for place, match in enumerate(matches)]
    marked = events.select("actor", "at", pl.sum_horizontal(bits).cast(pl.UInt8).alias("mask"))
    if between == "anything":
        marked = marked.filter(pl.col("mask") != 0)
    found = marked.collect()
    conditions = _hall(found["mask"].unique().to_list(), len(matches))
    told = sorted(set().union(*conditions.values()))
    counts = [(pl.col("mask") & mask != 0).sum().alias(f"hits_{mask}") for mask in told]
    grouped = found.group_by("actor", "at").agg(*counts).sort("actor", "at").with_row_index("row")
    numbered = grouped.with_columns(pl.col("row").cast(pl.Int32))
    return numbered.select(
        "actor",
        "at",
        "row",
        _firsts(),
        *(
            pl.all_horizontal([pl.col(f"hits_{mask}") >= least for mask, least in needed.items()]).alias(f"can_{i}_{j}")
            for (i, j), needed in conditions.items()
        ),
    )


def _firsts() -> pl.Expr:
    begins = pl.col("actor").ne_missing(pl.col("actor").shift(1))
    return pl.when(begins).then("row").forward_fill().alias("first")


def _hall(masks: Collection[int], steps: int) -> dict[tuple[int, int], dict[int, int]]:
    """For each i <= j: set of steps -> how many events must count for any of them.

    Sets that the same events count for are one; those whose steps share no events need no condition of their own.
    """
    conditions: dict[tuple[int, int], dict[int, int]] = {}
    named: dict[frozenset[int], int] = {}
    for i, j in _ranges(steps):
        needed = conditions[i, j] = {}
        for among in _subsets(i, j):
            size = among.bit_count()
            if size > 1 and all((mask & among).bit_count() < 2 for mask in masks):
                continue
            name = named.setdefault(frozenset(mask for mask in masks if mask & among), among)
            needed[name] = max(needed.get(name, 0), size)
    return conditions


def _ranges(steps: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for j in range(1, steps + 1) for i in range(1, j + 1))


def _subsets(i: int, j: int) -> Iterator[int]:
    places = range(i - 1, j)
    for size in range(1, j - i + 2):
        for chosen in combinations(places, size):
            yield sum(1 << place for place in chosen)


def latest_starts(rows: pl.DataFrame, steps: int, between: Between) -> pl.DataFrame:
    """The rows with, for each step k, what is NONE where there is no such sequence:

    start_k: the latest row where a sequence of k steps that ends in this row can start (whatever its length);
    from_k: the first of its steps that lies in this row;
    done_k, open_k: the row before this one where the first k steps can be done by, and where they started.

    Sequences start in rows that are `startable`.
    """
    for k in range(1, steps + 1):
        starts = {1: pl.when(pl.col(f"can_1_{k}") & pl.col("startable")).then("row").otherwise(NONE)}
        starts |= {i: pl.when(f"can_{i}_{k}").then(f"open_{i - 1}").otherwise(NONE) for i in range(2, k + 1)}
        rows = rows.with_columns(pl.max_horizontal(starts.values()).alias(f"start_{k}"))
        # The fewer steps lie in the last row, the earlier lie those before.
        fewest = pl.coalesce(
            [pl.when(starts[i] == pl.col(f"start_{k}")).then(pl.lit(i, pl.Int8)) for i in range(k, 0, -1)]
        )
        rows = rows.with_columns(fewest.alias(f"from_{k}"), *_carried(k, between))
    return rows


def _carried(k: int, between: Between) -> list[pl.Expr]:
    start, row = pl.col(f"start_{k}"), pl.col("row")
    if between == "nothing":
        before, done = start.shift(1, fill_value=-1), row - 1
    else:
        before = start.cum_max().shift(1, fill_value=-1)
        done = pl.when(start > before).then(row).otherwise(NONE).cum_max().shift(1, fill_value=-1)
    own = before >= pl.col("first")
    return [
        pl.when(own).then(before).otherwise(NONE).alias(f"open_{k}"),
        pl.when(own).then(done).otherwise(NONE).alias(f"done_{k}"),
    ]


def sequences(rows: pl.DataFrame, steps: int, window: timedelta, between: Between) -> pl.DataFrame:
    """One row per actor with a start: actor, steps (how many it got through) and step_1_at … (null if not reached)."""
    known = latest_starts(rows, steps, between)
    reached = [
        pl.when((pl.col(f"start_{k}") >= 0) & (pl.col("at") - _at(f"start_{k}") <= window)).then(k)
        for k in range(1, steps + 1)
    ]
    ends = known.select("actor", "row", pl.max_horizontal(reached).alias("steps")).drop_nulls("steps")
    farthest = ends.sort("steps", "row", descending=[True, False]).unique("actor", keep="first", maintain_order=True)
    return _traced(known, farthest.sort("row"), steps)


def _at(row: str) -> pl.Expr:
    return pl.col("at").gather(pl.col(row).clip(0))


def _traced(known: pl.DataFrame, ends: pl.DataFrame, steps: int) -> pl.DataFrame:
    """The ends with the moments of all steps before, found backwards."""
    path = ends.with_columns(pl.lit(None, pl.Int8).alias("from"))
    for k in range(steps, 0, -1):
        here = path["row"]
        begun = pl.col("from").is_null() & (pl.col("steps") >= k)
        path = path.with_columns(
            pl.when(begun).then(known[f"from_{k}"].gather(here)).otherwise("from").alias("from"),
            pl.when(pl.col("steps") >= k).then(known["at"].gather(here)).alias(f"step_{k}_at"),
        )
        if k > 1:
            leaves = pl.col("from") == k
            before = known[f"done_{k - 1}"].gather(here)
            path = path.with_columns(
                pl.when(leaves).then(before).otherwise("row").alias("row"),
                pl.when(leaves).then(None).otherwise("from").alias("from"),
            )
    return path.select("actor", "steps", *(f"step_{k}_at" for k in range(1, steps + 1)))


def completions(rows: pl.DataFrame, steps: int, window: timedelta, between: Between) -> pl.DataFrame:
    """One row per row that starts: actor, at, and whether a complete sequence starts there.

    The latest start for an end is, with time and steps reversed, the earliest end for a start.
    """
    turned = rows.reverse().drop("row").with_row_index("row").with_columns(pl.col("row").cast(pl.Int32))
    turned = turned.select(
        "actor",
        "at",
        "row",
        _firsts(),
        pl.col("startable").alias("starts"),
        pl.lit(True).alias("startable"),
        *(pl.col(f"can_{i}_{j}").alias(f"can_{steps + 1 - j}_{steps + 1 - i}") for i, j in _ranges(steps)),
    )
    known = latest_starts(turned, steps, between)
    last = f"start_{steps}"
    in_time = (pl.col(last) >= 0) & (_at(last) - pl.col("at") <= window)
    begun = known.with_columns(in_time.alias("completed")).filter("starts", f"can_{steps}_{steps}")
    return begun.select("actor", "at", "completed")
