"""Airflow as it runs in production: scheduler, DAG processor, API server and processes for tasks."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pipeline.core.database import Database
from tests.integration.promote.world import wait_until
from tests.integration.schedule.airflow.installation import Airflow
from tests.integration.schedule.airflow.landed import FACTS, LEDGER, add_tenants, rows

pytestmark = pytest.mark.long


def test_the_scheduler_runs_the_last_hour_alone_and_its_page_leads_to_the_report(
    airflow: Airflow, database: Database
) -> None:
    add_tenants(database)
    port = free_port()
    with airflow.standalone(port):
        wait_until(lambda: set(airflow.runs().values()) - {"queued", "running"}, seconds=240)
        ((run_id, state),) = airflow.runs().items()
        log = (airflow.home / "standalone.log").read_text()
        assert state == "success", log
        # Turned on long after its first hour, it makes up for none but the last.
        hour = datetime.fromisoformat(run_id.removeprefix("scheduled__"))
        assert datetime.now(UTC) - hour < timedelta(hours=2)
        assert rows(database, FACTS) == [("acme", 3)]
        assert rows(database, LEDGER) == [("published", f"dbt_transformation {hour.replace(tzinfo=UTC)}")]

        address = f"http://127.0.0.1:{port}"
        token = httpx.get(f"{address}/auth/token", timeout=30).raise_for_status().json()["access_token"]
        page = f"{address}/api/v2/dags/dbt_transformation/dagRuns/{run_id}/taskInstances"
        told = {"Authorization": f"Bearer {token}"}
        links = httpx.get(f"{page}/publish/links", headers=told, timeout=30).raise_for_status().json()["extra_links"]
        assert links == {"Quality report": "https://notebooks.example.com/notebooks/quality/?promotion=1"}
        states = httpx.get(page, headers=told, timeout=30).raise_for_status().json()["task_instances"]
        assert {each["task_id"]: each["state"] for each in states}["nobody_is_held"] == "skipped"


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
