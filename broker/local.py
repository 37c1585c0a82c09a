"""One real broker as a child of this process: started, stopped, killed, paused, and found again.

Its port and its data stay in its folder over restarts. It ends with the process that started it,
even when that is killed. It is no cluster, has no passwords, and listens on the loopback alone.
"""

from __future__ import annotations

import base64
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from broker.child import Child
from broker.configuration import properties
from broker.jars import ensure_jars
from broker.ports import LOOPBACK, keep_ports
from broker.requirements import find_java
from pipeline.core.errors import WorkbenchError

JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
START_SECONDS = 90.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.05
ANSWER_SECONDS = 1.0
TOLD_LINES = 12
COMPLAINT = re.compile(r" ERROR |^Caused by: |^Exception in |Exception: |^Error ")


class BrokerFailed(WorkbenchError):
    """The local broker did not start."""


class LocalBroker:
    """The broker in `folder`. Use it as a context manager, or `start` and `stop` it.

    `port` 0 keeps the port of the last time, or chooses one. `advertised_port` is what clients are
    sent to, for a proxy in front; see `broker/proxy.py`. `settings` are broker settings by their
    Kafka names, and win over those of `broker/configuration.py`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        advertised_port: int | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = folder.resolve()
        self._ports = keep_ports(self._folder, port)
        self._advertised_port = advertised_port or self._ports.clients
        self._settings = settings
        self._log_began = 0
        self._child: Child | None = None

    @property
    def port(self) -> int:
        """Where it listens to clients itself, as the target of a proxy."""
        return self._ports.clients

    @property
    def bootstrap(self) -> str:
        """host:port for clients: of the proxy, where one is advertised."""
        return f"{LOOPBACK}:{self._advertised_port}"

    @property
    def direct_bootstrap(self) -> str:
        """host:port for those who go around the proxy."""
        return f"{LOOPBACK}:{self._ports.direct}"

    @property
    def running(self) -> bool:
        """Whether its process lives, even paused."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        """Its process, which must have been started."""
        return self._require_child().pid

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers.

        Raises PartMissing where Java or the jars are missing, and BrokerFailed, with the log's last errors.
        """
        if self.running:
            return
        java = self._java()
        self._configure()
        self._log.touch()
        self._log_began = self._log.stat().st_size
        self._format(java)
        self._child = Child([*java, "kafka.Kafka", self._properties], log=self._log)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it in an orderly way, paused or not; does nothing where it does not run."""
        if self._child is not None:
            self._child.end(signal.SIGTERM, grace_seconds=STOP_SECONDS)

    def kill(self) -> None:
        """kill -9, as a machine that loses its broker; what was acknowledged is there at the next start."""
        if self._child is not None:
            self._child.end(signal.SIGKILL, grace_seconds=STOP_SECONDS)

    def pause(self) -> None:
        """Stop it in the middle of whatever it does: connections stay open, and nothing answers."""
        self._require_child().send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after a pause."""
        self._require_child().send(signal.SIGCONT)

    def complaints(self) -> str:
        """The last errors in the log of this run, without their traces; the log's end where there are none."""
        lines = self._log.read_bytes()[self._log_began :].decode(errors="replace").splitlines()
        errors = list(dict.fromkeys(line for line in lines if COMPLAINT.search(line)))
        return "\n".join((errors or lines)[-TOLD_LINES:])

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "broker.log"

    def _java(self) -> list[str]:
        return [str(find_java()), *JVM, "-cp", str(ensure_jars() / "*")]

    def _configure(self) -> None:
        text = properties(self._ports, data=self._data, advertised_port=self._advertised_port, settings=self._settings)
        self._properties.write_text(text)

    def _format(self, java: list[str]) -> None:
        """Prepare the storage of a new broker, under a cluster id of its own."""
        if (self._data / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        prepare = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._properties)]
        with self._log.open("ab") as log:
            ended = subprocess.run(
                [*java, *prepare], stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=START_SECONDS, check=False
            )
        if ended.returncode != 0:
            raise self._failed(f"cannot prepare its storage (exit code {ended.returncode})")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        client = AdminClient(
            {"bootstrap.servers": self.direct_bootstrap, "reconnect.backoff.max.ms": 100, "log_level": 0}
        )
        while not _answers(client):
            if not self.running:
                raise self._failed("ended while it started")
            if time.monotonic() > deadline:
                raise self._failed(f"did not answer within {START_SECONDS:.0f} s")
            time.sleep(LOOK_SECONDS)

    def _failed(self, what: str) -> BrokerFailed:
        return BrokerFailed(
            f"The broker in {self._folder} {what}. From its log:\n{self.complaints()}\n",
            remedy=f"The whole log is {self._log}.",
        )

    def _require_child(self) -> Child:
        if self._child is None:
            raise BrokerFailed(f"The broker in {self._folder} was not started.")
        return self._child

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _answers(client: AdminClient) -> bool:
    """Whether the broker has found itself: it is in its own metadata once the controller lets it work."""
    try:
        return bool(client.list_topics(timeout=ANSWER_SECONDS).brokers)
    except KafkaException:
        return False
