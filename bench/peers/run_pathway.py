"""Pathway's Kafka and PostgreSQL connectors (https://pathway.com/developers/api-docs/pathway-io-postgres).

A table of the latest row of each primary key (output_table_type="snapshot"). At least once in the free
edition; exactly once is for its enterprise edition. Licence: BSL 1.1. Ids and times go as text, which
it cannot write to columns of other types.
"""

import json
import sys

import pathway as pw

job = json.loads(sys.argv[1])
pw.set_monitoring_config(server_endpoint=None)


class UsageEvent(pw.Schema):
    """A message's fields."""

    tenant_id: str = pw.column_definition(primary_key=True)
    event_id: str = pw.column_definition(primary_key=True)
    event_type: str
    occurred_at: str
    received_at: str
    user_id: str
    session_id: str
    properties: pw.Json
    payload_hash: str


events = pw.io.kafka.read(
    {
        "bootstrap.servers": job["bootstrap"],
        "group.id": job["group"],
        "auto.offset.reset": "earliest",
        "session.timeout.ms": "6000",
    },
    topic=job["topic"],
    format="json",
    schema=UsageEvent,
)
pw.io.postgres.write(
    events,
    {"host": job["host"], "dbname": job["dbname"], "user": job["user"]},
    "usage_events",
    schema_name=job["schema"],
    output_table_type="snapshot",
    primary_key=[events.tenant_id, events.event_id],
)
print("ready", flush=True)
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
