"""Small bar charts of the trend, as plain geometry: the template draws them, people read the table below."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from workbench.quality.report import Point

HEIGHT = 44.0
STEP = 8.0
PLACES = 15
"""A shorter trend leaves room at its left, so that one promotion is a bar and not a block."""
BAR = 6.0
LOW = 14.0
LEAST = 2.0
"""Height of a bar that is not nothing: 1 beside 100,000 must not vanish."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One promotion; `is_last` is the reported one."""

    x: float
    y: float
    height: float
    is_last: bool
    told: str
    tone: str = ""
    """Its own colour, where it is not its chart's."""


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Something over the promotions of the trend."""

    title: str
    tone: str
    """good, bad or plain: its colour, which nothing depends on."""
    bars: Sequence[Bar]
    width: float
    height: float = HEIGHT
    bar: float = BAR
    last: str
    """Of the reported promotion."""
    legend: str
    told: str
    """What the picture shows, in words."""


def charts(trend: Sequence[Point], *, of_tenant: bool) -> list[Chart]:
    """The measures that are drawn: of all tenants, or of one."""
    volumes = [
        chart(trend, "Events", "plain", lambda point: point.events),
        chart(trend, "Failing rows", "bad", lambda point: point.failing_rows),
    ]
    if of_tenant:
        return [verdicts(trend), *volumes]
    return [
        chart(trend, "Tenants promoted", "good", lambda point: point.promoted),
        chart(trend, "Tenants held", "bad", lambda point: point.held),
        *volumes,
    ]


def chart(trend: Sequence[Point], title: str, tone: str, measure: Callable[[Point], int]) -> Chart:
    """A measure of the points, which are at least one, scaled from zero to its largest value."""
    values = [measure(point) for point in trend]
    most = max(values)
    heights = [max(LEAST, HEIGHT * value / most) if value else 0.0 for value in values]
    bars = [
        _bar(place, point, height, f"{value:,}", of=len(trend))
        for place, (point, value, height) in enumerate(zip(trend, values, heights, strict=True))
    ]
    last, least = values[-1], min(values)
    return Chart(
        title=title,
        tone=tone,
        bars=bars,
        width=_width(trend),
        last=f"{last:,}",
        legend=f"least {least:,}, most {most:,}",
        told=f"{title}: {last:,} in the last of {len(bars)}, from {least:,} to {most:,}",
    )


def verdicts(trend: Sequence[Point]) -> Chart:
    """How a tenant was judged, promotion by promotion: a high bar where it went through, a low one where not."""
    bars = []
    for place, point in enumerate(trend):
        through = bool(point.promoted) and not point.undone
        height, tone = (HEIGHT, "good") if through else (LOW, "bad")
        bars.append(_bar(place, point, height, _verdict(point), of=len(trend), tone=tone))
    promoted = sum(bar.height == HEIGHT for bar in bars)
    return Chart(
        title="Verdict",
        tone="plain",
        bars=bars,
        width=_width(trend),
        last=_verdict(trend[-1]),
        legend="high: promoted; low: not, or rolled back",
        told=f"Verdict: {_verdict(trend[-1])} in the last of {len(bars)}; {promoted} promoted, the others not",
    )


def _verdict(point: Point) -> str:
    return "rolled back" if point.undone else point.verdict or "none"


def _bar(place: int, point: Point, height: float, value: str, *, of: int, tone: str = "") -> Bar:
    return Bar(
        x=(place + max(0, PLACES - of)) * STEP,
        y=round(HEIGHT - height, 2),
        height=round(height, 2),
        is_last=place == of - 1,
        told=f"promotion {point.promotion_id}: {value}",
        tone=tone,
    )


def _width(trend: Sequence[Point]) -> float:
    return STEP * max(PLACES, len(trend)) - (STEP - BAR)
