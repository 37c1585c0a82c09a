"""Asking the brokers about topics: a client for it, and their errors as ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from pipeline.core.errors import StreamError, StreamUnavailable
from pipeline.core.settings import Settings
from pipeline.stream.connection import bootstrap_servers, client_options

SECONDS = 10.0
"""How long a broker may take for one answer."""
REFUSED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, GroupAuthorizationFailedError)


@asynccontextmanager
async def administration(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that is started for the block. Raises KafkaError."""
    client = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=int(SECONDS * 1_000))
    try:
        await client.start()
        yield client
    finally:
        await client.close()


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """A block whose Kafka errors become StreamUnavailable, or StreamError where this user is refused."""
    servers = ", ".join(bootstrap_servers(settings))
    try:
        yield
    except REFUSED as error:
        raise StreamError(
            f"The brokers at {servers} do not let this user see the topic {settings.kafka.topic}.",
            remedy="Grant it Describe, DescribeConfigs, Write and Read on the topic, and Create where it is missing.",
        ) from error
    except (KafkaError, OSError, TimeoutError) as error:
        name = type(error).__name__.removesuffix("Error") or "error"
        raise StreamUnavailable(
            f"No broker answers at {servers} ({name}).",
            remedy="Start Kafka, or correct KAFKA_BOOTSTRAP_SERVERS and the listeners that the brokers advertise.",
        ) from error
