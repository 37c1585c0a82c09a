"""The dashboard and the alerts: each expression parses, and asks for nothing that no process tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.metrics import Metrics as ApiMetrics
from workbench.accounting.ledger import LedgerHour
from workbench.consuming.delays import Delays
from workbench.consuming.metrics import ConsumerMetrics
from workbench.consuming.standing import Account
from workbench.promoting.metrics import registry_of
from workbench.promoting.standing import Ended, Held, Last, Pending, Rest, Standing
from workbench.serving.metrics import Metrics as NotebookMetrics

DOCS = Path(__file__).parents[3] / "docs"
MOMENT = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
PROMETHEUS_OWN = {"up": {"job", "instance"}}
NODE_EXPORTER = {f"node_filesystem_{kind}_bytes": {"mountpoint"} for kind in ("avail", "size")}
OF_THE_TARGET = {"job", "instance", "__name__"}


class Known:
    """A consumer's standing of which everything is known."""

    def lag(self, *, patience: float) -> dict[int, int]:  # noqa: ARG002
        return {0: 1}

    def account(self, *, patience: float) -> Account:  # noqa: ARG002
        hour = LedgerHour(
            tenant_id="acme", hour=MOMENT, accepted=1, stored=1, duplicate=0, dead_lettered=0, in_flight=0
        )
        return Account(hours=[hour], open_letters={"invalid": 1})


def standing() -> Standing:
    """Promotions of which everything is known."""
    rest = Rest(
        oldest_as_of=MOMENT, held={}, tenants={}, notifications={"waiting": 0, "abandoned": 0}, database_bytes=1
    )
    last = Last(
        finished_at=MOMENT,
        seconds=1.0,
        step_seconds={"build": 1.0},
        rows_written=1,
        rows_deleted=0,
        events=1,
        promoted=1,
        held=0,
    )
    return Standing(
        ended=Ended(succeeded_at=MOMENT, failures_since=0, running_since=MOMENT, recent={"published": 1}),
        last=last,
        rest=rest,
        pending=[Pending(held=False, tenants=1, events=1)],
        held=[Held(tenant_id="acme", verdict="failed", since=MOMENT)],
    )


def notebooks() -> CollectorRegistry:
    """The notebook server's."""
    metrics = NotebookMetrics()
    metrics.watch_sessions(kernels=lambda: 0, connected=lambda: 0)
    metrics.signed_in("accepted")
    metrics.refused("host")
    metrics.ended("idle", 1)
    return metrics.registry


def api() -> bytes:
    """The API's, after a request."""
    metrics = ApiMetrics()
    metrics.observe_request("/v1/events", 200, 0.1)
    return metrics.expose()


@cache
def told() -> dict[str, set[str]]:
    """Every metric that the processes tell, with its labels."""
    texts = [
        api(),
        generate_latest(ConsumerMetrics(Known(), Delays()).registry),  # type: ignore[arg-type]
        generate_latest(notebooks()),
        generate_latest(registry_of(standing, every_seconds=3600)),
    ]
    found: dict[str, set[str]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found | PROMETHEUS_OWN | NODE_EXPORTER


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DOCS / "grafana" / "workbench.json").read_text())
    return document


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((DOCS / "grafana" / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Where each stands, and what it is with Grafana's variables filled in."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            filled = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            yield f"{panel['title']} {target['refId']}", filled
    for rule in rules():
        yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("place", "expression"), list(expressions()), ids=lambda value: value[:30])
def test_an_expression_parses_and_every_metric_and_label_in_it_is_told(place: str, expression: str) -> None:
    selectors: list[promql_parser.VectorSelector] = []

    def look(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), look)
    names = {str(selector.name) for selector in selectors}
    assert names, place
    assert names <= set(told()), place
    for selector in selectors:
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= told()[str(selector.name)] | OF_THE_TARGET, place
    grouped = {label.strip() for labels in re.findall(r"\bby \(([^)]*)\)", expression) for label in labels.split(",")}
    assert grouped <= set.union(*(told()[name] for name in names)) | OF_THE_TARGET, place


def test_a_metric_that_nobody_tells_would_be_found() -> None:
    assert "workbench_promotion_step_seconds" in told()
    assert "workbench_promotion_seconds_of_step" not in told()


def test_every_metric_of_ours_is_on_the_dashboard_or_in_the_documents() -> None:
    shown = " ".join(expression for _, expression in expressions()) + (DOCS / "operations.md").read_text()
    ours = {re.sub(r"_(bucket|sum|count|created|total|info)$", "", name) for name in told() if name.startswith("workb")}
    assert [name for name in sorted(ours) if name not in shown] == []


def test_panels_have_their_own_ids_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_alert_says_how_urgent_it_is_and_leads_to_what_to_do() -> None:
    text = (DOCS / "operations.md").read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)
    }
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        document, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert document == "docs/operations.md"
        assert anchor in anchors, rule["alert"]
