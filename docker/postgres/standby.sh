#!/bin/sh
# Runs a streaming standby: copies the primary when the data folder is new, then follows it. The arguments are the server's.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # A copy has its name only once it is whole, so that one that was interrupted begins anew.
    rm -rf "$PGDATA" "$PGDATA.partial"
    mkdir -p "$(dirname "$PGDATA")"
    PGPASSWORD=$REPLICATION_PASSWORD pg_basebackup --pgdata "$PGDATA.partial" --write-recovery-conf --slot standby \
        --checkpoint fast --host "$PRIMARY_HOST" --port "$PRIMARY_PORT" --username replicator --no-password
    mv "$PGDATA.partial" "$PGDATA"
fi
exec postgres "$@"
