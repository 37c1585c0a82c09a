"""dlt into PostgreSQL with the merge disposition (https://dlthub.com/docs/general-usage/merge-loading).

Its Kafka source is no package: `dlt init kafka` copies it from GitHub. This resource reads as that one
does (batches of 3,000, offsets in the pipeline's state, up to the end that the topic has at the start),
but with the event's own key: the source's `_kafka_msg_id` is a hash of topic, partition and key, by
which a merge would take all events of a tenant for one. Files are CSV, which is its fast way (COPY).
Offsets and rows are loaded together, so a load that is repeated merges the same rows again.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "WARNING"

import dlt
from confluent_kafka import Consumer, TopicPartition

job = json.loads(sys.argv[1])


@dlt.resource(
    name="usage_events",
    primary_key=("tenant_id", "event_id"),
    write_disposition={"disposition": "merge", "strategy": job["strategy"]},
    columns={"properties": {"data_type": "json"}, "event_id": {"data_type": "text"}},
)
def usage_events() -> Iterator[list[dict[str, Any]]]:
    """The topic's messages, in batches."""
    consumer = Consumer({"bootstrap.servers": job["bootstrap"], "group.id": job["group"], "enable.auto.commit": False})
    offsets = dlt.current.resource_state().setdefault("offsets", {})
    with closing(consumer):
        partitions = consumer.list_topics(job["topic"]).topics[job["topic"]].partitions
        ends = {p: consumer.get_watermark_offsets(TopicPartition(job["topic"], p))[1] for p in partitions}
        consumer.assign([TopicPartition(job["topic"], p, offsets.get(str(p), 0)) for p in partitions])
        while any(offsets.get(str(p), 0) < end for p, end in ends.items()):
            messages = consumer.consume(3000, timeout=3)
            for message in messages:
                offsets[str(message.partition())] = message.offset() + 1
            yield [json.loads(message.value()) for message in messages]


pipeline = dlt.pipeline(
    pipeline_name=job["group"],
    pipelines_dir=job["folder"],
    # It insists on a host and a password; the socket in the query wins, and asks for none.
    destination=dlt.destinations.postgres(
        f"postgresql://{job['user']}:none@localhost/{job['dbname']}?host={job['host']}"
    ),
    dataset_name=job["schema"],
)
print("ready", flush=True)
pipeline.run(usage_events(), loader_file_format="csv")
