"""Where events go: as any Kafka client would place them, spread where a tenant has shards."""

from __future__ import annotations

from uuid import UUID, uuid4

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from pipeline.stream.routing import route
from tests.factories import event

tenants = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True)
partition_counts = st.integers(1, 200)


@given(tenants, partition_counts)
def test_a_tenant_on_one_shard_is_where_any_client_would_place_its_key(tenant_id: str, count: int) -> None:
    partitions = list(range(count))
    placed = DefaultPartitioner()(tenant_id.encode(), partitions, partitions)
    for _ in range(3):
        assert route(event(tenant_id=tenant_id), 1) % count == placed


def test_known_keys_are_where_the_java_client_places_them() -> None:
    """As org.apache.kafka.common.utils.Utils.murmur2 has it in its own tests."""
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    for key, hashed in known.items():
        assert route(event(tenant_id=key), 1) == hashed & 0x7FFFFFFF


@given(tenants, partition_counts, st.integers(1, 1000))
def test_shards_are_on_partitions_of_their_own_as_far_as_there_are_any(tenant_id: str, count: int, shards: int) -> None:
    # Ids that cover each shard once.
    found = {route(event(tenant_id=tenant_id, event_id=UUID(int=number)), shards) % count for number in range(shards)}
    assert len(found) == min(shards, count)


@given(tenants, st.integers(1, 1000), st.uuids())
def test_a_resend_meets_the_first_sending_whatever_else_it_says(tenant_id: str, shards: int, event_id: UUID) -> None:
    first = event(tenant_id=tenant_id, event_id=event_id)
    again = event(tenant_id=tenant_id, event_id=event_id, user_id="somebody else", properties=b'{"a":1}')
    assert route(first, shards) == route(again, shards) >= 0


@given(tenants)
def test_shards_get_about_as_much_each(tenant_id: str) -> None:
    counts = [0] * 4
    for _ in range(400):
        counts[route(event(tenant_id=tenant_id, event_id=uuid4()), 4) % 4] += 1
    assert min(counts) > 50
