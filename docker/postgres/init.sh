#!/bin/sh
# Run once by the image, when the data folder is new: the databases of Airflow and Metabase, each with a login that
# can reach nothing else, and what a standby needs. Our own database is made by the image and filled by `workbench db migrate`.
(
    set -eu
    psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
        --set airflow_password="$AIRFLOW_DB_PASSWORD" --set metabase_password="$METABASE_DB_PASSWORD" \
        --set replication_password="$REPLICATION_PASSWORD" <<'SQL'
create role airflow login password :'airflow_password';
create database airflow owner airflow;
create role metabase login password :'metabase_password';
create database metabase owner metabase;
revoke all on database airflow, metabase, postgres, template1 from public;

create role replicator login replication password :'replication_password';
-- It keeps nothing back until a standby has used it for the first time.
select pg_create_physical_replication_slot('standby');
SQL
    echo 'host replication replicator samenet scram-sha-256' >> "$PGDATA/pg_hba.conf"
)
