"""The tables of a run, as `docs/performance.md` has them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from bench.consuming import ConsumingBench
from bench.fairness import FairnessBench
from bench.gating import GatingBench
from bench.landing import LandingBench
from bench.memory import MemoryBench
from bench.peers.comparison import PeersBench
from bench.promotion import PromotionBench
from bench.publishing import PublishingBench
from bench.readers import ReadersBench
from bench.reading import Reading
from workbench.cli.output import console, print_rows


def print_landing(result: LandingBench) -> None:
    """One row per way into the table; the ratio is landing over it."""
    rows = [
        {"way": way, "median": sorted(rates)[len(rates) // 2], "landing / it": result.ratios.get(way, 1.0)}
        for way, rates in result.rows_per_second.items()
    ]
    print_rows(rows, title="Landing, rows per second")


def print_reading(result: Sequence[Reading]) -> None:
    """One row per query."""
    print_rows([msgspec.to_builtins(row) for row in result], title="Reading under row security")


def print_readers(result: ReadersBench) -> None:
    """One row per turn, then one per step of the promotions during which a read began; milliseconds."""
    rows = [
        {"turn": turn, **msgspec.to_builtins(latency), "p99 / idle": result.p99_of_idle[turn]}
        for turn, latency in result.turns.items()
    ]
    title = f"Reading during {result.promotions} promotions in a row, on {result.facts:,} facts"
    print_rows(rows, title=title)
    steps = [{"while": step, **msgspec.to_builtins(latency)} for step, latency in result.steps.items()]
    print_rows(steps, title="By what the promotion was at")


def print_promotion(result: PromotionBench) -> None:
    """One row per size of history; times in seconds."""
    rows = [
        {
            "facts": time.facts,
            "events": time.events,
            "tenants": time.tenants,
            "seconds": time.seconds,
            **time.steps,
            "undo": time.undo_seconds,
            "a single visit": time.least_seconds,
        }
        for time in result.sizes
    ]
    print_rows(rows, title=f"Promotion, growth {result.growth}")


def print_gating(result: GatingBench) -> None:
    """One row per contender, then one per size of history; times in seconds."""
    rows = [
        {"who": who, "seconds": judged.seconds, "scans of candidate tables": judged.scans}
        for who, judged in (("ours", result.ours), ("native", result.native))
    ]
    print_rows(rows, title=f"{result.rules} rules on {result.events:,} events of {result.tenants:,} tenants")
    console.print(f"Ours is {result.faster} times as fast, with {result.fewer_scans} times fewer scans.")
    sizes = [{"facts": time.facts, "seconds": time.ours.seconds} for time in result.sizes]
    print_rows(sizes, title=f"The gate, growth {result.growth}")


def print_consuming(result: ConsumingBench) -> None:
    """One row per contender."""
    rows = [
        {
            "contender": name,
            "rows per second": round(statistics.median(turn.rows_per_second for turn in turns)),
            "lowest": min(turn.rows_per_second for turn in turns),
            "highest": max(turn.rows_per_second for turn in turns),
            "client CPU, us a row": round(statistics.median(turn.cpu_microseconds for turn in turns), 2),
        }
        for name, turns in result.turns.items()
    ]
    print_rows(rows, title=f"Consuming, on {result.history:,} rows of history")
    losses = ", ".join(f"{kind} {loss:.1%}" for kind, loss in result.poison_loss.items())
    console.print(f"Consumer / raw COPY: {result.of_raw_copy}. What 0.1 % of poison costs: {losses}.")


def print_peers(result: PeersBench) -> None:
    """One row per peer, those that could not run as well."""
    rows: list[dict[str, object]] = [
        {
            "who": name,
            "rows per second": round(statistics.median(turn.rows_per_second for turn in turns)),
            "ours / it": result.ours_over.get(name, 1.0),
            "all rows": all(turn.whole for turn in turns),
            "guarantees": result.guarantees[name],
        }
        for name, turns in result.turns.items()
    ]
    print_rows(rows, title=f"Peers, {result.rows:,} events with the key and deduplication on")
    for name, reason in result.left_out.items():
        console.print(f"{name} was left out: {reason}", markup=False)


def print_publishing(result: PublishingBench) -> None:
    """One row per size of batch and way."""
    rows = [
        {
            "batch": size.batch,
            "way": way,
            "events per second": round(statistics.median(turn.events_per_second for turn in turns)),
            "server CPU, us an event": round(statistics.median(turn.server_cpu_microseconds for turn in turns), 2),
            "client's share of a core": round(statistics.median(turn.client_cpu_share for turn in turns), 2),
        }
        for size in result.sizes
        for way, turns in size.turns.items()
    ]
    print_rows(rows, title="Publishing over HTTP")
    for size in result.sizes:
        console.print(f"Batches of {size.batch}: API / bare {size.of_bare}, by the server's CPU {size.cpu_of_bare}.")
    told = result.latency
    console.print(
        f"Single events at {result.rate} requests a second: p50 {told.p50} ms, p95 {told.p95} ms, p99 {told.p99} ms."
    )


def print_fairness(result: FairnessBench) -> None:
    """One row per turn."""
    rows = [
        {"turn": turn, **msgspec.to_builtins(delays)}
        for turn, figures in (("quiet", result.quiet), ("with one at 50 times", result.with_loud))
        for delays in figures
    ]
    print_rows(rows, title="Accepted to stored, the other tenants' events, milliseconds")
    console.print(f"The others' p95 with one tenant at 50 times over theirs without: {result.ratio}.")


def print_memory(result: MemoryBench) -> None:
    """One row per process."""
    first = result.samples[0]
    rows = [
        {
            "process": process,
            "MiB at the stop": at_stop,
            "largest MiB": max(getattr(sample, process) for sample in result.samples),
            "growth": growth,
        }
        for process, at_stop, growth in (
            ("api", first.api, result.api_growth),
            ("consumer", first.consumer, result.consumer_growth),
        )
    ]
    print_rows(rows, title=f"Memory, PostgreSQL stopped for {result.stopped_seconds} s")
    for phase, accepted in result.accepted_per_second.items():
        console.print(
            f"{phase}: {accepted:,} of {result.events_per_second:,} events a second accepted, "
            f"p99 {result.p99_milliseconds[phase]:,.0f} ms, {result.statuses[phase]}"
        )
