#!/bin/sh
# Brings Metabase to what the repository says, then looks every hour whether somebody has changed it by hand. What differs
# goes to the log and stays as it is: `docker compose restart metabase-provision` brings it back.
set -eu
rm -f "${TMPDIR:-/tmp}/provisioned"
workbench metabase apply
touch "${TMPDIR:-/tmp}/provisioned"
while sleep "${DRIFT_SECONDS:-3600}"; do
    workbench metabase drift || echo "Metabase differs from what the repository says, or could not be asked."
done
