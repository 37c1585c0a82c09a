"""The rule of planning, which needs no database."""

from __future__ import annotations

import pytest

from pipeline.promote.plan import Progress, Start, choose_starts

ANEW = Start(tenant_id="acme", from_xid=0, full_refresh=True)


def progress(*, landed: int = 100, promoted: int | None = 90, models: str | None = "new") -> Progress:
    """What is known of tenant acme."""
    return Progress(tenant_id="acme", landed_xid=landed, promoted_xid=promoted, models_fingerprint=models)


@pytest.mark.parametrize(
    ("tenant", "start"),
    [
        (progress(), Start(tenant_id="acme", from_xid=90, full_refresh=False)),
        # The bound is exclusive: what was landed at it is not promoted yet.
        (progress(landed=90), Start(tenant_id="acme", from_xid=90, full_refresh=False)),
        (progress(landed=89), None),
        (progress(promoted=None, models=None), ANEW),
        # Held when the models changed, or simply without news since.
        (progress(models="old"), ANEW),
        (progress(landed=89, models="old"), ANEW),
    ],
)
def test_a_tenant_goes_on_where_it_was_promoted_to_unless_its_rows_are_of_other_models(
    tenant: Progress, start: Start | None
) -> None:
    assert choose_starts([tenant], models_fingerprint="new", full_refresh=False) == ([start] if start else [])


def test_a_full_refresh_takes_up_tenants_without_news_too() -> None:
    assert choose_starts([progress(landed=89)], models_fingerprint="new", full_refresh=True) == [ANEW]
