"""Runs the DAG once for each hour, in Airflow's environment, as `airflow dags test` does but for pauses between tries.

It is no module of the tests: they run in another environment.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

from airflow.dag_processing.dagbag import DagBag

bag = DagBag()
assert not bag.import_errors, bag.import_errors
dag = bag.dags["dbt_transformation"]
for task in dag.tasks:
    task.retry_delay = timedelta(seconds=0.1)
    task.retry_exponential_backoff = 0
for hour in sys.argv[1:]:
    dag.test(logical_date=datetime.fromisoformat(hour))
