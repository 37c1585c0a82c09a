-- Promotions that are asked for by a key, so that whoever asks again promotes once, and that may rest between
-- their steps, each of which is a process of its own. Run as workbench_owner.

alter table control.promotions
    add column request_key text check (length(request_key) between 1 and 200),
    add column seals jsonb,
    add column rested_at timestamptz,
    add constraint only_what_was_asked_for_by_a_key_rests check (rested_at is null or request_key is not null),
    add constraint what_rests_is_sealed check (rested_at is null or seals is not null);
create index promotions_by_request on control.promotions (request_key, promotion_id) where request_key is not null;
comment on column control.promotions.request_key is
    'what it was asked for, such as a run of Airflow; asked for again, the latest of a key is the answer, unless it failed';
comment on column control.promotions.seals is
    'of a promotion that rests: candidate table to its rows and the hash over them, when they were built';
comment on column control.promotions.rested_at is
    'since when its candidate waits for the process of the next step; null while one is at work';
