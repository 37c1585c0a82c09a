"""Promotions whose models are broken, or are not those that built the marts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.database import Database
from pipeline.core.errors import PromotionError
from pipeline.core.verdicts import VerdictState
from tests.integration.promote.world import World, copy_models

METRICS = "select coalesce(sum(events), 0) from marts.tenant_usage_metrics where tenant_id = %s"
REFRESHED = "select full_refresh from control.promotion_tenants where tenant_id = %s order by promotion_id desc limit 1"


@pytest.mark.long
def test_changed_models_rebuild_each_tenant_once_also_those_held_meanwhile(database: Database, tmp_path: Path) -> None:
    world = World(database=database, dbt_dir=copy_models(tmp_path))
    world.tenants("passes", "held")
    world.land("passes", 4)
    world.land("held", 4)
    world.promote()

    change_metrics(world, "sum(events)::bigint as events", "sum(events)::bigint / 0 as events")
    with pytest.raises(PromotionError, match=r"'build': dbt run failed: tenant_usage_metrics: .*division by zero"):
        world.promote()
    assert world.promotion(world.last_promotion())[0] == "failed"
    assert world.value(METRICS, "passes") == 4

    change_metrics(world, "sum(events)::bigint / 0 as events", "sum(events)::bigint * 10 as events")
    world.gate.states["held"] = VerdictState.FAILED
    promotion = world.promote()
    assert promotion.promoted == {"passes": 4}
    assert promotion.held["held"].raw_rows == 4
    assert (world.value(METRICS, "passes"), world.value(METRICS, "held")) == (40, 4)

    world.gate.states.clear()
    world.land("passes", 1)
    world.land("held", 1)
    assert world.promote().promoted == {"passes": 1, "held": 5}
    assert (world.value(METRICS, "passes"), world.value(METRICS, "held")) == (50, 50)
    assert (world.value(REFRESHED, "passes"), world.value(REFRESHED, "held")) == (False, True)


def change_metrics(world: World, old: str, new: str) -> None:
    """Replace an expression of the metrics model."""
    model = world.dbt_dir / "models" / "metrics" / "tenant_usage_metrics.sql"
    text = model.read_text()
    assert old in text
    model.write_text(text.replace(old, new))
