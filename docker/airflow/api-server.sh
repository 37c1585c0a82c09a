#!/bin/sh
# Runs Airflow's API server with one administrator, whose password comes from the environment. Airflow's own sign-in keeps
# passwords in a file: it is made anew at each start, in memory.
set -eu
umask 077
mkdir -p "$AIRFLOW_HOME"
python - > "$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE" <<'PY'
import json, os
print(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
PY
exec airflow api-server
