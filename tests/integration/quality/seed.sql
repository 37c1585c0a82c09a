-- What promotions leave on record, made up: 1 and 3 published, 2 found nothing, 4 failed before its checks,
-- 5 held globex, 6 is under way.
insert into control.tenants (tenant_id, display_name) values
('acme', 'Acme'), ('globex', 'Globex'), ('initech', 'Initech'), ('idle', 'Idle');

insert into control.promotions (
    promotion_id, state, bound_xid, as_of, started_at, finished_at, models_fingerprint, rules_fingerprint, asked_by, error
) overriding system value values
(1, 'published', '100', '2026-03-01 09:00Z', '2026-03-01 09:00Z', '2026-03-01 09:00:04Z', 'm', 'r', 'schedule', null),
(2, 'nothing_new', '110', '2026-03-01 10:00Z', '2026-03-01 10:00Z', '2026-03-01 10:00:01Z', 'm', null, 'schedule', null),
(3, 'published', '120', '2026-03-01 11:00Z', '2026-03-01 11:00Z', '2026-03-01 11:00:04Z', 'm', 'r', 'schedule', null),
(4, 'failed', '130', '2026-03-01 12:00Z', '2026-03-01 12:00Z', '2026-03-01 12:00:01Z', 'm', null, 'schedule', 'dbt broke.'),
(5, 'published', '140', '2026-03-01 13:00Z', '2026-03-01 13:00Z', '2026-03-01 13:00:05.5Z', 'm', 'r', 'mira', null),
(6, 'planned', '150', '2026-03-01 14:00Z', '2026-03-01 14:00Z', null, 'm', null, 'schedule', null);
select setval(pg_get_serial_sequence('control.promotions', 'promotion_id'), 6);

insert into control.promotion_tenants (
    tenant_id, promotion_id, from_xid, full_refresh, raw_rows, verdict, promoted, candidate_rows
) values
('acme', 1, '0', true, 10, 'passed', true, '{}'),
('globex', 1, '0', true, 10, 'passed', true, '{}'),
('globex', 3, '100', false, 20, 'failed', false, '{}'),
('acme', 4, '100', false, 7, null, false, '{}'),
('acme', 5, '100', false, 7, 'passed', true, '{"fct_usage_events": 7, "dim_users": 3}'),
('globex', 5, '100', false, 30, 'failed', false, '{"fct_usage_events": 30, "dim_users": 9}'),
('initech', 5, '0', true, 40, 'empty', false, '{}'),
('acme', 6, '140', false, 1, null, false, '{}');

insert into control.promotion_progress (tenant_id, promoted_xid, promotion_id, as_of, models_fingerprint, held_since)
values
('acme', '140', 5, '2026-03-01 13:00Z', 'm', null),
('globex', '100', 1, '2026-03-01 09:00Z', 'm', '2026-03-01 11:00:04Z');

insert into control.promotion_checks (
    promotion_id, boundary, rule, table_name, severity, why, outcome, checked_rows, failing_rows, failing_tenants
) values
(3, 'raw_to_facts', 'clock_is_not_ahead', 'fct_usage_events', 'stop', 'Days to come.', 'failed', 20, 8, 1),
(5, 'metrics', 'sums_agree', 'tenant_usage_metrics', 'stop', 'Figures contradict.', 'passed', 12, 0, 0),
(5, 'raw_to_facts', 'clock_is_not_ahead', 'fct_usage_events', 'stop', 'Days to come.', 'failed', 37, 9, 1),
(5, 'raw_to_facts', 'event_is_not_late', 'fct_usage_events', 'warn', 'Old days change.', 'failed', 37, 4, 2),
(5, 'raw_to_facts', 'volume_does_not_soar', 'fct_usage_events', 'warn', 'A loop, or a good day.', 'errored', 37, 0, 0);

insert into control.check_results (
    tenant_id, promotion_id, boundary, rule, severity, outcome, failing_rows, detail, samples
) values
('globex', 3, 'raw_to_facts', 'clock_is_not_ahead', 'stop', 'failed', 8, '8 failing rows. Days to come.', '[]'),
('acme', 5, 'raw_to_facts', 'event_is_not_late', 'warn', 'failed', 1, '1 failing row.', '[{"event_id": "a1"}]'),
('globex', 5, 'raw_to_facts', 'event_is_not_late', 'warn', 'failed', 30, '30 failing rows.', '[]'),
(
    'globex', 5, 'raw_to_facts', 'clock_is_not_ahead', 'stop', 'failed', 9, '9 failing rows. Days to come.',
    '[{"event_id": "g1", "page": "<script>alert(1)</script>"}, {"event_id": "g2", "page": null}]'
);

insert into control.promotion_changes (
    tenant_id, promotion_id, mart, inserted, updated, deleted, content_before, content_after
) values
('acme', 5, 'fct_usage_events', 7, 0, 0, 0, 1),
('acme', 5, 'dim_users', 1, 2, 0, 1, 2),
('globex', 5, 'fct_usage_events', 30, 0, 0, null, null);

insert into control.holds (
    tenant_id, state, cause, promotion_id, promotions, verdict, bound_xid, as_of, raw_rows, models_fingerprint,
    rules_fingerprint, opened_at, judged_at, decided_at, decided_by, reason
) values
(
    'globex', 'discarded', 'checks', 1, '{1}', 'failed', '90', '2026-02-01 09:00Z', 3, 'm', 'r',
    '2026-02-01 09:00Z', '2026-02-01 09:00Z', '2026-02-02 09:00Z', 'mira', 'Load test.'
),
(
    'globex', 'released', 'checks', 3, '{3}', 'failed', '90', '2026-02-03 09:00Z', 3, 'm', 'r',
    '2026-02-03 09:00Z', '2026-02-03 09:00Z', '2026-02-04 09:00Z', 'mira', 'A fair.'
),
(
    'globex', 'open', 'checks', 5, '{5}', 'failed', '140', '2026-03-01 13:00Z', 30, 'm', 'r',
    '2026-03-01 11:00:04Z', '2026-03-01 13:00:05Z', null, null, null
),
(
    'initech', 'open', 'checks', 5, '{5}', 'empty', '140', '2026-03-01 13:00Z', 40, 'm', 'r',
    '2026-03-01 13:00:05Z', '2026-03-01 13:00:05Z', null, null, null
);

insert into control.audit_log (at, actor, action, tenant_id, details) values
('2026-02-02 09:00Z', 'mira', 'discard events', 'globex', '{"hold": 1, "reason": "Load test.", "event_ids": ["e1"]}'),
('2026-02-04 09:00Z', 'mira', 'release hold', 'globex', '{"hold": 2, "reason": "A fair."}'),
('2026-02-05 09:00Z', 'noor', 'something', 'acme', '{}');
