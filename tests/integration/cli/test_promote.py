"""`workbench promote` with dbt and Great Expectations as they are."""

from __future__ import annotations

from datetime import timedelta

from pipeline.core.clock import utc_now
from pipeline.core.database import Database, ServiceRole
from pipeline.land.landing import Lander
from tests.command_line import CommandLine
from tests.factories import event


def test_what_passes_is_published_and_what_does_not_is_held_and_told(
    workbench: CommandLine, database: Database
) -> None:
    workbench.run("tenants", "add", "acme")
    workbench.run("tenants", "add", "globex")
    lander = Lander(lambda: database.connect(ServiceRole.LANDER))
    now = utc_now()
    lander.land([event(received_at=now, occurred_at=now - timedelta(minutes=5)) for _ in range(3)])
    lander.land([event(tenant_id="globex", received_at=now, occurred_at=now + timedelta(days=2))])
    lander.close()

    judged = workbench.json("promote", "--request", "ten", "--until", "check", exits=3)
    assert (judged["state"], judged["taken_up"], judged["promoted"]) == ("judged", {"acme": 3, "globex": 1}, {})
    assert judged["held"]["globex"]["state"] == "failed"
    done = workbench.json("promote", "--request", "ten", exits=3)
    assert (done["id"], done["state"], done["promoted"]) == (judged["id"], "published", {"acme": 3})
    assert done["held"] == judged["held"]
    assert "Asked for by the key ten." in workbench.run("promotions", "show", str(done["id"])).stdout

    status = workbench.json("status")
    assert {tenant["tenant_id"]: (tenant["pending"], tenant["held"]) for tenant in status["tenants"]} == {
        "acme": (0, None),
        "globex": (1, "failed"),
    }
    assert status["last_promotion"]["state"] == "published"
    count = "select count(*) from fct_usage_events"
    assert workbench.json("sql", "--tenant", "acme", count)["rows"] == [[3]]
    assert workbench.json("sql", "--tenant", "globex", count)["rows"] == [[0]]

    nothing = workbench.run("promote", "--tenant", "acme")
    assert "nothing new" in nothing.stdout
    assert "nobody" in workbench.run("promote", "--tenant", "nobody", exits=1).stderr
