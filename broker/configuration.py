"""The settings of a broker for development: one node that is broker and controller, on the loopback.

Clients are told the advertised port, where a proxy may stand in front. The broker itself, and those
who mean to go around the proxy, use the listener DIRECT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from broker.ports import LOOPBACK, Ports

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CLIENTS:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "DIRECT",
    "controller.listener.names": "CONTROLLER",
    # A typing error in a topic's name is an error; who needs a topic creates it.
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    # Few internal partitions: a broker that was killed recovers each of them when it starts.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Consumers begin at once, and a dead one is noticed within a test's patience.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    # A killed broker may register again only when its old session is over.
    "broker.heartbeat.interval.ms": "200",
    "broker.session.timeout.ms": "2000",
    # A laptop's threads and memory.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.segment.bytes": "67108864",
}


def properties(ports: Ports, *, data: Path, advertised_port: int, settings: Mapping[str, str]) -> str:
    """The text of `server.properties`; `settings` are added, and win over those here."""
    listeners = {
        "CLIENTS": f"{LOOPBACK}:{ports.clients}",
        "DIRECT": f"{LOOPBACK}:{ports.direct}",
        "CONTROLLER": f"{LOOPBACK}:{ports.controller}",
    }
    advertised = listeners | {"CLIENTS": f"{LOOPBACK}:{advertised_port}"}
    own = {
        "listeners": _listing(listeners),
        "advertised.listeners": _listing(advertised),
        "controller.quorum.voters": f"1@{LOOPBACK}:{ports.controller}",
        "log.dirs": str(data),
    }
    return "".join(f"{name}={value}\n" for name, value in {**SETTINGS, **own, **settings}.items())


def _listing(listeners: Mapping[str, str]) -> str:
    return ",".join(f"{name}://{address}" for name, address in listeners.items())
