"""The loop learns at its start whether something waits for a promotion."""

from __future__ import annotations

from pipeline.core.database import Database, ServiceRole
from pipeline.land.landing import Lander
from pipeline.schedule.pending import is_pending
from tests.conftest import NewTenant
from tests.factories import event

PUBLISH_ALL = """
with promotion as (
    insert into control.promotions (state, bound_xid, as_of, models_fingerprint)
    values ('published', pg_snapshot_xmax(pg_current_snapshot()), now(), '')
    returning promotion_id, bound_xid
)

insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint)
select 'acme', bound_xid, promotion_id, now(), '' from promotion
"""


def test_rows_are_pending_from_landing_to_publication(database: Database, new_tenant: NewTenant) -> None:
    def pending() -> bool:
        with database.connect(ServiceRole.STEWARD) as connection:
            return is_pending(connection)

    new_tenant("acme")
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    assert not pending()
    lander.land([event()])
    assert pending()
    with database.connect_admin() as connection:
        connection.execute(PUBLISH_ALL)
    assert not pending()
    lander.land([event()])
    assert pending()
    lander.close()
