"""`workbench consume` as a process: it lands, tells what it does, and ends when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from pipeline.core.clock import utc_now
from pipeline.core.database import Database
from tests.command_line import CommandLine
from tests.factories import event
from tests.integration.cli.conftest import environment, stream_environment
from tests.integration.cli.stack_process import PATIENCE_SECONDS, StackProcess, eventually
from tests.integration.cli.streaming import Stream
from tests.kafka import SharedBroker

NAME = re.compile(r"as member (\S+)-0 ")
CONSUME = (sys.executable, "-m", "workbench", "consume")


class ConsumerProcess:
    """A consumer, and what it has said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def said(self) -> str:
        return self._log.read_text()

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


NewConsumer = Callable[..., ConsumerProcess]


@pytest.fixture
def new_consumer(
    database: Database, home: Path, durable_broker: SharedBroker, topic: str, tmp_path: Path
) -> Iterator[NewConsumer]:
    """Starts consumers, and kills those that a test leaves."""
    given = environment(database, home) | stream_environment(durable_broker.bootstrap, topic)
    variables = os.environ | {name: value for name, value in given.items() if value is not None}
    with ExitStack() as processes:

        def start(*options: str, **settings: str) -> ConsumerProcess:
            log = tmp_path / f"consumer-{len(list(tmp_path.iterdir()))}.log"
            with log.open("wb") as file:
                process = subprocess.Popen([*CONSUME, *options], env=variables | settings, stdout=file, stderr=file)
            processes.callback(process.wait)
            processes.callback(process.kill)
            return ConsumerProcess(process, log)

        yield start


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def stored(database: Database) -> int:
    with database.connect_admin() as connection:
        row = connection.execute("select count(*) from raw.usage_events").fetchone()
    return int(row[0]) if row else 0


def test_it_lands_serves_metrics_and_ends_cleanly(
    new_consumer: NewConsumer, streaming: CommandLine, stream: Stream, database: Database
) -> None:
    streaming.run("tenants", "add", "acme")
    stream.publish([event(received_at=utc_now(), user_id=str(number)) for number in range(300)])
    port = free_port()
    consumer = new_consumer("--metrics-port", str(port))
    eventually(lambda: stored(database) == 300, "300 events")
    told = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30, trust_env=False).text
    assert 'workbench_landed_records_total{fate="stored"} 300.0' in told
    assert 'workbench_accept_to_stored_recent_seconds{quantile="0.99"}' in told
    assert 'workbench_stream_lag_records{partition="2"} 0.0' in told
    assert 'fate="in_flight"' in told
    assert f"metrics at http://127.0.0.1:{port}/metrics" in consumer.said()
    assert consumer.end(signal.SIGTERM) == 0
    assert "ended; landed 300 records" in consumer.said()
    assert "Traceback" not in consumer.said()
    assert streaming.json("status")["total"]["in_flight"] == 0


@pytest.mark.long
def test_each_process_has_a_name_of_its_own_and_keeps_it_over_a_restart(
    new_consumer: NewConsumer, streaming: CommandLine, stream: Stream, database: Database
) -> None:
    streaming.run("tenants", "add", "acme")
    stream.publish([event()])
    first = new_consumer()
    eventually(lambda: NAME.search(first.said()), "the first name")
    name = NAME.search(first.said())
    assert name
    host = name[1]
    assert host.startswith(socket.gethostname())
    second = new_consumer()
    eventually(lambda: f"as member {host}-1 " in second.said(), "the second name")
    named = new_consumer("--member", "the-third")
    eventually(lambda: "as member the-third " in named.said(), "the given name")
    first.process.kill()
    first.process.wait()
    again = new_consumer()
    eventually(lambda: f"as member {host}-0 " in again.said(), "the first name again")
    stream.publish([event(user_id=str(number), tenant_id="acme") for number in range(50)])
    eventually(lambda: stored(database) == 51, "all events")
    assert [consumer.end(signal.SIGINT) for consumer in (second, named, again)] == [0, 0, 0]


def test_a_port_in_use_is_told(new_consumer: NewConsumer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        consumer = new_consumer("--metrics-port", str(taken.getsockname()[1]))
        assert consumer.process.wait(PATIENCE_SECONDS) == 1
    assert "choose another port with --metrics-port" in consumer.said()


def test_a_database_that_does_not_answer_yet_is_waited_for(new_consumer: NewConsumer, tmp_path: Path) -> None:
    consumer = new_consumer(DATABASE_URL=f"postgresql://admin:hidden@/workbench?host={tmp_path}")
    eventually(lambda: consumer.said().count("Trying again") >= 2, "more than one try")
    assert "hidden" not in consumer.said()
    assert consumer.end(signal.SIGTERM) == 0
    assert "Traceback" not in consumer.said()


def test_the_stack_runs_a_consumer_and_starts_a_killed_one_again(
    durable_broker: SharedBroker, topic: str, tmp_path: Path
) -> None:
    given = {name: value or "" for name, value in stream_environment(durable_broker.bootstrap, topic).items()}
    stack = StackProcess(tmp_path, **given)
    try:
        stack.ensure_started()
        eventually(lambda: stack.child("consume"), "the consumer")
        export = tmp_path / "export.ndjson"
        export.write_text("\n".join('{"tenant_id": "acme", "event_type": "page_view"}' for _ in range(50)))
        assert stack.workbench.json("import", str(export), "--create-tenants")["total"]["accepted"] == 50
        eventually(lambda: stack.workbench.json("status")["total"]["stored"] == 50, "50 stored events")
        killed = stack.child("consume")
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: stack.child("consume") not in (None, killed), "another consumer")
        stack.workbench.run("import", str(export))
        eventually(lambda: stack.workbench.json("status")["total"]["stored"] == 100, "100 stored events")
        assert stack.interrupt() == 0
    finally:
        stack.end()
    assert f"topic {topic}" in (tmp_path / "up.log").read_text()
