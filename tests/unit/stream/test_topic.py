"""What a topic must be: each way of losing events by its settings is told, with the command against it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.settings import IngestLimits, KafkaSettings, Settings
from pipeline.stream.topic import Topic, find_mismatches, largest_record, mismatch_error, wanted_configs


def settings(limits: IngestLimits | None = None, **kafka: Any) -> Settings:
    return Settings(
        kafka_bootstrap_servers="kafka-1:9092,kafka-2:9092",
        kafka=KafkaSettings(**kafka),
        limits=limits or IngestLimits(),
    )


def topic(wanted: Settings, *, partitions: int = 12, replicas: int = 1, **configs: str) -> Topic:
    changed = {name.replace("_", "."): value for name, value in configs.items()}
    return Topic(partitions=partitions, replicas=replicas, configs=wanted_configs(wanted) | changed)


def test_a_topic_as_it_is_created_is_as_it_must_be() -> None:
    for wanted, replicas in ((settings(), 1), (settings(replication_factor=3), 3)):
        assert find_mismatches(topic(wanted, replicas=replicas), wanted) == []


@pytest.mark.parametrize(
    ("found", "setting"),
    [
        ({"min_insync_replicas": "1"}, "min.insync.replicas"),
        ({"unclean_leader_election_enable": "true"}, "unclean.leader.election.enable"),
    ],
)
def test_three_replicas_must_be_safe_whoever_made_them(found: dict[str, Any], setting: str) -> None:
    safe: dict[str, Any] = {"min_insync_replicas": "2", "unclean_leader_election_enable": "false"}
    [mismatch] = find_mismatches(topic(settings(), replicas=3, **(safe | found)), settings())
    assert mismatch.setting == setting


@pytest.mark.parametrize(
    "found",
    [
        {"partitions": 13},
        {"replicas": 2},
        {"retention_ms": "-1"},
        {"retention_ms": "604800001"},
        {"max_message_bytes": "99999999"},
        {"min_insync_replicas": "3"},
    ],
    ids=str,
)
def test_more_than_is_asked_for_is_well(found: dict[str, Any]) -> None:
    wanted = settings()
    assert find_mismatches(topic(wanted, **found), wanted) == []


@pytest.mark.parametrize(
    ("found", "setting", "needed"),
    [
        ({"partitions": 11}, "partitions", "12 or more"),
        ({"replicas": 2}, "replication factor", "3 or more"),
        ({"retention_ms": "604799999"}, "retention.ms", "604800000 or more"),
        ({"retention_bytes": "1073741824"}, "retention.bytes", "-1"),
        ({"cleanup_policy": "compact,delete"}, "cleanup.policy", "delete"),
        ({"message_timestamp_type": "CreateTime"}, "message.timestamp.type", "LogAppendTime"),
        ({"max_message_bytes": "1000000"}, "max.message.bytes", "1048576 or more"),
        ({"min_insync_replicas": "1"}, "min.insync.replicas", "2 or more"),
    ],
    ids=str,
)
def test_what_would_lose_events_is_told_with_what_is_needed(found: dict[str, Any], setting: str, needed: str) -> None:
    wanted = settings(replication_factor=3)
    [mismatch] = find_mismatches(topic(wanted, **({"replicas": 3} | found)), wanted)
    assert (mismatch.setting, mismatch.needed) == (setting, needed)
    told = str(mismatch_error([mismatch], wanted))
    assert f"tenant_events is not as it must be: {setting} is {mismatch.found}, needed is {needed}" in told


def test_all_mismatches_are_told_at_once_with_the_commands_that_correct_them() -> None:
    wanted = settings(partitions=24)
    found = topic(wanted, partitions=3, cleanup_policy="compact", message_timestamp_type="CreateTime")
    error = mismatch_error(find_mismatches(found, wanted), wanted)
    assert error.remedy is not None
    access = "--bootstrap-server kafka-1:9092,kafka-2:9092"
    configs = "cleanup.policy=delete,message.timestamp.type=LogAppendTime"
    assert error.remedy.splitlines()[1:] == [
        f"kafka-topics.sh {access} --alter --topic tenant_events --partitions 24",
        f"kafka-configs.sh {access} --alter --entity-type topics --entity-name tenant_events --add-config {configs}",
    ]


def test_replicas_are_not_asked_for_beyond_the_setting_and_commands_say_that_access_needs_a_file() -> None:
    wanted = settings(replication_factor=2, security_protocol="SSL")
    [mismatch] = find_mismatches(topic(wanted), wanted)
    remedy = mismatch_error([mismatch], wanted).remedy or ""
    assert "kafka-reassign-partitions.sh" in remedy
    assert "--command-config FILE" in remedy
    assert "WORKBENCH_KAFKA_REPLICATION_FACTOR=1" in remedy


def test_the_largest_event_fits_into_a_record() -> None:
    assert largest_record(settings()) == 1_048_576
    assert largest_record(settings(IngestLimits(event_bytes=2_000_000))) == 4_065_536
