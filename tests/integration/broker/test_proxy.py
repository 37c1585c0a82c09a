"""The faulty proxy fails as it is told to, before a plain server and before Kafka."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from aiokafka.errors import KafkaError

from broker.ports import LOOPBACK, free_port
from broker.proxy import FaultyProxy
from tests.integration.broker.records import first_value, publish
from tests.kafka import NewBroker, create_topic


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it gets."""

    def handle(self) -> None:
        with suppress(ConnectionResetError):
            while data := self.request.recv(65_536):
                self.request.sendall(data)


@pytest.fixture
def proxy() -> Iterator[FaultyProxy]:
    """A proxy before an echo."""
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with FaultyProxy(LOOPBACK, server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: FaultyProxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=10)


def echoed(client: socket.socket, sent: bytes) -> bytes:
    client.sendall(sent)
    received = b""
    while len(received) < len(sent) and (data := client.recv(65_536)):
        received += data
    return received


def test_it_forwards_both_ways_and_passes_on_the_end(proxy: FaultyProxy) -> None:
    with connect(proxy) as client:
        assert echoed(client, b"there and back") == b"there and back"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_cut_resets_connections_and_refuses_new_ones_until_restored(proxy: FaultyProxy) -> None:
    with connect(proxy) as client:
        assert echoed(client, b"before") == b"before"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.restore()
    with connect(proxy) as client:
        assert echoed(client, b"after") == b"after"


def test_stalled_it_accepts_and_forwards_nothing_until_restored(proxy: FaultyProxy) -> None:
    with connect(proxy) as before:
        assert echoed(before, b"flows") == b"flows"
        proxy.stall()
        with connect(proxy) as client:
            for stalled in (before, client):
                stalled.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    echoed(stalled, b"waits")
            proxy.restore()
            client.settimeout(10)
            assert client.recv(5) == b"waits"


def test_slow_it_forwards_so_many_bytes_a_second(proxy: FaultyProxy) -> None:
    proxy.slow(20_000)
    with connect(proxy) as client:
        began = time.monotonic()
        assert echoed(client, b"x" * 10_000) == b"x" * 10_000
        assert time.monotonic() - began > 0.45


def test_kafka_clients_stay_behind_a_proxy_that_the_broker_advertises(new_broker: NewBroker, topic: str) -> None:
    port = free_port()
    with FaultyProxy(LOOPBACK, port) as proxy:
        broker = new_broker(port=port, advertised_port=proxy.port)
        create_topic(broker.direct_bootstrap, topic)
        publish(broker.bootstrap, topic, b"through")
        proxy.cut()
        with pytest.raises((KafkaError, TimeoutError)):
            publish(broker.bootstrap, topic, b"lost", seconds=1)
        assert first_value(broker.direct_bootstrap, topic) == b"through"
        proxy.restore()
        publish(broker.bootstrap, topic, b"again")
