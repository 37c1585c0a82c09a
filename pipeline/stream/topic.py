"""The topic of events: created as it must be, or checked against it, before anything is published.

Each setting that is checked here loses events where it is otherwise: records sorted out by the
event's time or by size before they are landed, compacted away, refused as too large, or kept by one
broker only. Nothing that is there is altered: the remedy names the command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    LeaderNotAvailableError,
    NoError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from pipeline.core.errors import StreamError
from pipeline.core.settings import Settings
from pipeline.stream.administration import SECONDS, administration, translated
from pipeline.stream.connection import bootstrap_servers

MILLISECONDS_PER_HOUR = 3_600_000
MEBIBYTE = 1_048_576
RECORD_OVERHEAD = 65_536
SAFE_REPLICAS = 3
SYNCED_REPLICAS = 2
UNLIMITED = -1
LOOK_EVERY_SECONDS = 0.1


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is found."""

    partitions: int
    replicas: int
    """Of the partition with the fewest."""
    configs: Mapping[str, str]


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of the topic that is not as it must be."""

    setting: str
    found: str
    needed: str
    """As a person reads it."""
    value: str
    """As the remedy sets it."""


def largest_record(settings: Settings) -> int:
    """Bytes of the largest record that the topic must take."""
    return max(MEBIBYTE, 2 * settings.limits.event_bytes + RECORD_OVERHEAD)


def wanted_configs(settings: Settings) -> dict[str, str]:
    """The configuration that the topic is created with."""
    configs = {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(settings.kafka.retention_hours * MILLISECONDS_PER_HOUR),
        "retention.bytes": str(UNLIMITED),
        "max.message.bytes": str(largest_record(settings)),
    }
    return configs | safe_configs(settings.kafka.replication_factor or 0)


def safe_configs(replicas: int) -> dict[str, str]:
    """What is needed besides where there are so many replicas, so that what one acknowledges is not on it alone."""
    if replicas < SAFE_REPLICAS:
        return {}
    return {"min.insync.replicas": str(SYNCED_REPLICAS), "unclean.leader.election.enable": "false"}


def find_mismatches(topic: Topic, settings: Settings) -> list[Mismatch]:
    """What of the topic is not as it must be; what is more than asked for is well."""
    mismatches = []
    for setting, found, least in (
        ("partitions", topic.partitions, settings.kafka.partitions),
        ("replication factor", topic.replicas, settings.kafka.replication_factor or 1),
    ):
        if found < least:
            mismatches.append(Mismatch(setting=setting, found=str(found), needed=f"{least} or more", value=str(least)))
    for setting, value in (wanted_configs(settings) | safe_configs(topic.replicas)).items():
        found_value = topic.configs.get(setting, "unset")
        needed = _needed(setting, value)
        if not _fits(setting, found_value, value):
            mismatches.append(Mismatch(setting=setting, found=found_value, needed=needed, value=value))
    return mismatches


def mismatch_error(mismatches: Sequence[Mismatch], settings: Settings) -> StreamError:
    """One error for all of them; its remedy is what to type."""
    told = "; ".join(f"{each.setting} is {each.found}, needed is {each.needed}" for each in mismatches)
    name = settings.kafka.topic
    commands = "\n".join(_commands(mismatches, settings))
    return StreamError(f"The topic {name} is not as it must be: {told}.", remedy=f"Correct it:\n{commands}")


async def ensure_topic(settings: Settings) -> int:
    """Create the topic if it is missing, check it otherwise; answers its number of partitions.

    Raises StreamUnavailable where no broker answers, and StreamError where the topic is not as it
    must be or may not be looked at.
    """
    with translated(settings):
        async with asyncio.timeout(SECONDS), administration(settings) as client:
            refused = await _create(client, settings)
            topic = await _describe(client, settings.kafka.topic, refused)
    if mismatches := find_mismatches(topic, settings):
        raise mismatch_error(mismatches, settings)
    return topic.partitions


async def _create(client: AIOKafkaAdminClient, settings: Settings) -> StreamError | None:
    """Create the topic; that it is there already is as good. Answers why it was refused, if it was.

    Asking for a topic before creating it would let a broker with auto.create.topics.enable create
    it with settings of its own.
    """
    wanted = NewTopic(
        name=settings.kafka.topic,
        num_partitions=settings.kafka.partitions,
        # -1 is the broker's default; the library lets it pass with assignments only, even with none.
        replication_factor=settings.kafka.replication_factor or UNLIMITED,
        replica_assignments={} if settings.kafka.replication_factor is None else None,
        topic_configs=wanted_configs(settings),
    )
    answer = await client.create_topics([wanted])
    _, code, message = answer.topic_errors[0]
    kind = for_code(code)
    if kind in (NoError, TopicAlreadyExistsError):
        return None
    told = message or kind.__name__
    return StreamError(
        f"The topic {settings.kafka.topic} is missing, and the broker refuses to create it: {told}.",
        remedy=f"Create it:\n{_creation_command(settings)}",
    )


async def _describe(client: AIOKafkaAdminClient, name: str, refused: StreamError | None) -> Topic:
    """The topic as it is. Where it was just created, brokers come to know it one after the other."""
    while True:
        [described] = await client.describe_topics([name])
        kind = for_code(described["error_code"])
        if kind is NoError and described["partitions"]:
            break
        if kind not in (NoError, UnknownTopicOrPartitionError, LeaderNotAvailableError):
            raise kind()
        if refused is not None:
            raise refused
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    partitions = described["partitions"]
    return Topic(
        partitions=len(partitions),
        replicas=min(len(partition["replicas"]) for partition in partitions),
        configs=await _read_configs(client, name),
    )


async def _read_configs(client: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    while True:
        [answer] = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        [resource] = answer.resources
        code, entries = resource[0], resource[4]
        kind = for_code(code)
        if kind is NoError:
            return {entry[0]: entry[1] for entry in entries}
        if kind is not UnknownTopicOrPartitionError:
            raise kind()
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def _fits(setting: str, found: str, value: str) -> bool:
    match setting:
        case "retention.ms":
            return found == str(UNLIMITED) or _number(found) >= int(value)
        case "max.message.bytes" | "min.insync.replicas":
            return _number(found) >= int(value)
        case _:
            return found == value


def _needed(setting: str, value: str) -> str:
    return f"{value} or more" if setting in ("retention.ms", "max.message.bytes", "min.insync.replicas") else value


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _commands(mismatches: Sequence[Mismatch], settings: Settings) -> list[str]:
    name, factor = settings.kafka.topic, settings.kafka.replication_factor
    by_setting = {each.setting: each for each in mismatches}
    commands = []
    if partitions := by_setting.pop("partitions", None):
        commands.append(f"kafka-topics.sh {_access(settings)} --alter --topic {name} --partitions {partitions.value}")
    if replication := by_setting.pop("replication factor", None):
        commands.append(
            f"kafka-reassign-partitions.sh {_access(settings)} --execute --reassignment-json-file FILE  "
            f"# with {factor} replicas, or set WORKBENCH_KAFKA_REPLICATION_FACTOR={replication.found}"
        )
    if by_setting:
        added = ",".join(f"{each.setting}={each.value}" for each in by_setting.values())
        commands.append(
            f"kafka-configs.sh {_access(settings)} --alter --entity-type topics --entity-name {name} "
            f"--add-config {added}"
        )
    return commands


def _creation_command(settings: Settings) -> str:
    kafka = settings.kafka
    factor = f" --replication-factor {kafka.replication_factor}" if kafka.replication_factor else ""
    configs = " ".join(f"--config {name}={value}" for name, value in wanted_configs(settings).items())
    return (
        f"kafka-topics.sh {_access(settings)} --create --topic {kafka.topic} "
        f"--partitions {kafka.partitions}{factor} {configs}"
    )


def _access(settings: Settings) -> str:
    access = f"--bootstrap-server {','.join(bootstrap_servers(settings))}"
    return access if settings.kafka.security_protocol == "PLAINTEXT" else f"{access} --command-config FILE"
