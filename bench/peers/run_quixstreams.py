"""Quix Streams' PostgreSQLSink (https://quix.io/docs/quix-streams/connectors/sinks/postgresql-sink.html).

At least once; ON CONFLICT DO NOTHING on the primary key makes repeats harmless. Checkpoints of 10,000
messages instead of five seconds, so that its batches are as large as ours; no columns of metadata,
and no look for new columns with every batch. Both favour it.
"""

import json
import sys

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

job = json.loads(sys.argv[1])
application = Application(
    broker_address=job["bootstrap"],
    consumer_group=job["group"],
    auto_offset_reset="earliest",
    auto_create_topics=False,
    commit_every=10_000,
    loglevel="WARNING",
)
sink = PostgreSQLSink(
    host=job["host"],
    port=5432,
    dbname=job["dbname"],
    user=job["user"],
    password="",
    schema_name=job["schema"],
    table_name="usage_events",
    schema_auto_update=False,
    primary_key_columns=["tenant_id", "event_id"],
    on_conflict_do_nothing=True,
    include_metadata=False,
)
application.dataframe(application.topic(job["topic"], value_deserializer="json")).sink(sink)
print("ready", flush=True)
application.run()
