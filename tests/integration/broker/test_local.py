"""The local broker keeps its promises to the tests that rely on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from broker.local import BrokerFailed, LocalBroker
from tests.integration.broker.records import first_value, publish
from tests.integration.cli.stack_process import eventually, have_ended
from tests.kafka import NewBroker, SharedBroker, create_topic

STARTER = """
import sys
from pathlib import Path
from broker.local import LocalBroker
broker = LocalBroker(Path(sys.argv[1]))
broker.start()
broker.pause()
print(broker.pid, flush=True)
sys.stdin.read()
"""


def test_tests_that_share_a_broker_publish_and_read(broker: SharedBroker, topic: str) -> None:
    if broker.durable:
        create_topic(broker.bootstrap, topic)
    publish(broker.bootstrap, topic, b"shared")
    assert first_value(broker.bootstrap, topic) == b"shared"


def test_what_is_acknowledged_before_kill_nine_is_there_after_it(own_broker: LocalBroker, topic: str) -> None:
    create_topic(own_broker.bootstrap, topic)
    publish(own_broker.bootstrap, topic, b"kept")
    before = own_broker.bootstrap
    own_broker.kill()
    assert not own_broker.running
    own_broker.start()
    assert own_broker.bootstrap == before
    assert first_value(own_broker.bootstrap, topic) == b"kept"


def test_a_paused_broker_runs_and_answers_nobody_until_it_goes_on(own_broker: LocalBroker) -> None:
    client = AdminClient({"bootstrap.servers": own_broker.bootstrap})
    own_broker.pause()
    assert own_broker.running
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.5)
    own_broker.resume()
    assert client.list_topics(timeout=30).brokers
    own_broker.stop()
    assert not own_broker.running


@pytest.mark.usefixtures("new_broker")
def test_a_broker_ends_with_a_parent_that_is_killed_even_while_it_is_paused(tmp_path: Path) -> None:
    command = (sys.executable, "-c", STARTER, str(tmp_path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    eventually(lambda: have_ended([broker]), "the end of the broker")


def test_a_broker_that_cannot_start_tells_why(new_broker: NewBroker) -> None:
    with pytest.raises(BrokerFailed, match="Invalid value -7"):
        new_broker(settings={"num.io.threads": "-7"})
