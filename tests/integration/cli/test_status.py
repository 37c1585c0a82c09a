"""`workbench status`: the fate of every event, and who is held and why."""

from __future__ import annotations

import pytest

from pipeline.core.database import Database
from tests.command_line import CommandLine

# Acme was published by promotion 1 and has one row since; globex was held by 1 and by 2; hooli's
# failure of promotion 1 passed in 2; initech was never promoted; nobody was never added.
STORY = """
insert into control.ingest_ledger (tenant_id, hour, accepted, stored, duplicate, dead_lettered) values
    ('acme', '2026-03-02 10:00Z', 10, 7, 2, 1),
    ('acme', '2026-03-02 11:00Z', 3, 1, 2, 0),
    ('globex', '2026-03-02 10:00Z', 5, 5, 0, 0),
    ('nobody', '2026-03-02 10:00Z', 4, 0, 0, 4);
insert into raw.usage_events
    (tenant_id, event_id, event_type, occurred_at, received_at, properties, payload_hash, landed_xid)
select t, gen_random_uuid(), 'page_view', now(), now(), '{}', '\\x00', x::text::xid8
from (values ('acme', 100), ('acme', 101), ('acme', 300), ('globex', 150), ('globex', 350)) as v (t, x);
insert into control.promotions
    (state, bound_xid, as_of, finished_at, models_fingerprint, rows_written, error, requested_tenants)
values
    ('published', '200', '2026-03-02 10:30Z', '2026-03-02 10:31Z', 'f', 12, null, null),
    ('published', '400', '2026-03-02 11:30Z', '2026-03-02 11:31Z', 'f', 34, null, '{globex,hooli}');
insert into control.promotion_tenants
    (tenant_id, promotion_id, from_xid, full_refresh, raw_rows, verdict, promoted)
values
    ('acme', 1, '0', false, 2, 'passed', true),
    ('globex', 1, '0', false, 1, 'errored', false),
    ('hooli', 1, '0', false, 1, 'failed', false),
    ('globex', 2, '0', false, 2, 'failed', false),
    ('hooli', 2, '0', false, 1, 'passed', true);
insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint) values
    ('acme', '200', 1, '2026-03-02 10:30Z', 'f'), ('hooli', '400', 2, '2026-03-02 11:30Z', 'f');
insert into control.holds
    (tenant_id, cause, promotion_id, promotions, verdict, bound_xid, as_of, raw_rows, models_fingerprint,
    rules_fingerprint)
values ('globex', 'checks', 2, '{2}', 'failed', '400', '2026-03-02 11:30Z', 2, 'f', 'r');
insert into raw.discarded_events (tenant_id, event_id, hold_id)
select tenant_id, event_id, 7 from raw.usage_events where landed_xid = '350';
insert into control.check_results
    (tenant_id, promotion_id, boundary, rule, severity, outcome, failing_rows, detail)
values
    ('globex', 1, 'raw_to_facts', 'old_finding', 'stop', 'errored', 0, 'of an earlier promotion'),
    ('globex', 2, 'raw_to_facts', 'clock_ahead', 'stop', 'failed', 2, 'events from the future'),
    ('globex', 2, 'users', 'odd_but_fine', 'warn', 'failed', 9, 'only a warning');
"""


@pytest.fixture
def story(workbench: CommandLine, database: Database) -> CommandLine:
    """Four tenants in four states."""
    for tenant_id in ("acme", "globex", "hooli", "initech"):
        workbench.run("tenants", "add", tenant_id)
    with database.connect_admin() as connection:
        connection.execute(STORY.encode())
    return workbench


def test_each_event_is_accounted_for_per_tenant_and_in_total(story: CommandLine) -> None:
    found = story.json("status")
    figures = (
        "status",
        "accepted",
        "stored",
        "duplicate",
        "dead_lettered",
        "in_flight",
        "pending",
        "discarded",
        "held",
    )
    assert {tenant["tenant_id"]: tuple(tenant[name] for name in figures) for tenant in found["tenants"]} == {
        "acme": ("active", 13, 8, 4, 1, 0, 1, 0, None),
        "globex": ("active", 5, 5, 0, 0, 0, 1, 1, "failed"),
        "hooli": ("active", 0, 0, 0, 0, 0, 0, 0, None),
        "initech": ("active", 0, 0, 0, 0, 0, 0, 0, None),
        "nobody": ("unknown", 4, 0, 0, 4, 0, 0, 0, None),
    }
    assert found["total"] == {
        "accepted": 22, "stored": 13, "duplicate": 4, "dead_lettered": 5, "in_flight": 0, "pending": 2,
        "discarded": 1,
    }  # fmt: skip


def test_the_last_promotion_and_the_reasons_of_who_is_held_now(story: CommandLine) -> None:
    found = story.json("status")
    last = found["last_promotion"]
    assert (last["promotion_id"], last["state"], last["as_of"]) == (2, "published", "2026-03-02T11:30:00Z")
    assert (last["promoted"], last["held"], last["rows_written"]) == (1, 1, 34)
    assert [(reason["tenant_id"], reason["rule"]) for reason in found["reasons"]] == [("globex", "clock_ahead")]
    assert found["stack"] is None
    printed = story.run("status").stdout
    assert "Stack: not running" in printed
    assert "Last promotion: 2, published, as of 2026-03-02 11:30:00+00:00: promoted 1 tenant, held 1." in printed
    assert "events from the future" in printed
    assert "only a warning" not in printed


def test_before_anything_happened_it_says_what_to_do(workbench: CommandLine) -> None:
    printed = workbench.run("status").stdout
    assert "workbench promote" in printed
    assert "workbench tenants add" in printed
