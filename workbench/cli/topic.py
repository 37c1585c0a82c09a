"""`workbench topic`: the topic of events, made as it must be, or checked."""

from __future__ import annotations

import asyncio

import typer

from workbench.cli.context import read_settings
from workbench.cli.output import JsonFlag, count, note, print_json, say
from workbench.cli.streaming import quiet_client, require_stream


def register(app: typer.Typer) -> None:
    """Add the `topic` command."""
    app.command("topic")(run)


def run(as_json: JsonFlag = False) -> None:
    """Make the topic of events in Kafka, or check the one that is there.

    The API and `workbench consume` do so themselves when they begin. It is a
    command of its own for those who set a cluster up step by step, or whose API
    may not create topics. A topic that would lose events is an error that names
    the command which corrects it; nothing that exists is altered.

    Example:
      KAFKA_BOOTSTRAP_SERVERS=kafka-1:9092 workbench topic

    Next: `workbench serve` publishes to it, `workbench consume` lands from it.
    """
    from pipeline.stream.topic import ensure_topic

    settings = read_settings()
    require_stream(settings)
    quiet_client(settings)
    partitions = asyncio.run(ensure_topic(settings))
    if as_json:
        print_json({"topic": settings.kafka.topic, "partitions": partitions})
        return
    say(f"The topic {settings.kafka.topic} is as it must be, with {count(partitions, 'partition')}.")
    note("Next: workbench serve, and workbench consume")
