"""The ports of a broker: chosen free once, and kept in its folder so that clients find it again."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import msgspec

LOOPBACK = "127.0.0.1"
CHOICE = range(15_000, 30_000)
"""Below the ports that systems give to outgoing connections, which could take a stopped broker's port."""
ATTEMPTS = 100


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node listens: to clients, to itself and those who go around a proxy, and as controller."""

    clients: int
    direct: int
    controller: int


def keep_ports(folder: Path, clients: int = 0) -> Ports:
    """The ports of the broker in this folder; `clients`, unless it is 0, replaces the one that was kept."""
    file = folder / "ports.json"
    if file.exists():
        ports = msgspec.json.decode(file.read_bytes(), type=Ports)
    else:
        ports = Ports(clients=clients or free_port(), direct=free_port(), controller=free_port())
    if clients:
        ports = msgspec.structs.replace(ports, clients=clients)
    folder.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(ports))
    return ports


def free_port() -> int:
    """A port of the loopback on which nobody listens now."""
    for _ in range(ATTEMPTS):
        port = random.choice(CHOICE)
        with socket.socket() as probe:
            # As servers bind: connections that linger from a server before do not occupy the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
    raise OSError(f"{ATTEMPTS} ports of {CHOICE} were tried, and all are taken.")
