"""Charts are true to scale, and nothing is invisible that is not nothing."""

from __future__ import annotations

from tests.unit.workbench.quality.reports import point
from workbench.quality.charts import BAR, HEIGHT, LEAST, LOW, PLACES, STEP, charts


def test_bars_are_scaled_from_zero_and_the_last_is_the_reported_one() -> None:
    [promoted, held, events, failing] = charts(
        [point(1, events=50, failed=2), point(2, events=100, unjudged=1)], of_tenant=False
    )
    assert [bar.height for bar in events.bars] == [HEIGHT / 2, HEIGHT]
    assert [bar.is_last for bar in events.bars] == [False, True]
    assert [bar.y + bar.height for bar in events.bars] == [HEIGHT, HEIGHT]
    assert (held.last, held.legend) == ("1", "least 1, most 2")
    assert held.told == "Tenants held: 1 in the last of 2, from 1 to 2"
    assert (promoted.last, failing.legend) == ("1", "least 0, most 0")
    assert [bar.height for bar in failing.bars] == [0, 0]


def test_one_beside_a_million_is_still_seen() -> None:
    [_, events, _] = charts([point(1, events=1), point(2, events=1_000_000)], of_tenant=True)
    assert events.bars[0].height == LEAST
    assert events.bars[0].told == "promotion 1: 1"


def test_the_latest_promotion_is_at_the_right_however_few_there_are() -> None:
    for length in (1, PLACES, 30):
        trend = [point(number) for number in range(1, length + 1)]
        for each in charts(trend, of_tenant=False):
            assert each.width == max(PLACES, length) * STEP - (STEP - BAR)
            assert each.bars[-1].x + BAR == each.width
            assert each.bars[0].x == (max(PLACES, length) - length) * STEP


def test_the_verdicts_of_a_tenant_differ_by_height_and_word_and_not_by_colour_alone() -> None:
    [verdicts, *_] = charts(
        [
            point(1, verdict="passed"),
            point(2, verdict="failed", promoted=0),
            point(3, verdict="released"),
            point(4, verdict="passed", undone=True),
            point(5, verdict="errored", promoted=0),
        ],
        of_tenant=True,
    )
    assert [(bar.height, bar.told) for bar in verdicts.bars] == [
        (HEIGHT, "promotion 1: passed"),
        (LOW, "promotion 2: failed"),
        (HEIGHT, "promotion 3: released"),
        (LOW, "promotion 4: rolled back"),
        (LOW, "promotion 5: errored"),
    ]
    assert verdicts.last == "errored"
    assert verdicts.told == "Verdict: errored in the last of 5; 2 promoted, the others not"
