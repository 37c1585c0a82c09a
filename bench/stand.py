"""A stand: a broker and a deployed database of a measurement's own, and the product's processes on them.

Everything is a child of the bench and ends with it, and everything listens on the loopback alone.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from broker.local import LocalBroker
from pipeline.core import deployment
from pipeline.core.database import Database
from pipeline.core.embedded import EmbeddedPostgres
from pipeline.core.errors import StackError
from pipeline.core.settings import Settings
from workbench.cli.context import deploy

PARTITIONS = 12
BEGIN_SECONDS = 60.0
END_SECONDS = 20.0
LOOK_SECONDS = 0.05
WORKBENCH = Path(sys.executable).with_name("workbench")
LISTENING = re.compile(r"listening at (http://\S+)")
CONSUMING = re.compile(r"assigned: (\d)")
OURS = ("WORKBENCH_", "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS")


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement stands on; `home` is the home folder of the product's processes."""

    database: Database
    server: EmbeddedPostgres
    bootstrap: str
    home: Path

    def environment(self, topic: str, **more: str) -> dict[str, str]:
        """The settings of a process that works with the topic, as environment variables."""
        return {
            "WORKBENCH_HOME": str(self.home),
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "WORKBENCH_KAFKA_TOPIC": topic,
            "WORKBENCH_KAFKA_GROUP": topic,
            "WORKBENCH_KAFKA_PARTITIONS": str(PARTITIONS),
            **more,
        }

    def settings(self, topic: str) -> Settings:
        """The same for a part that runs in this process."""
        return Settings.from_environment(self.environment(topic))


@contextmanager
def new_stand(folder: Path, bootstrap: str = "") -> Iterator[Stand]:
    """An empty deployment on a server with the settings as shipped, gone afterwards; `bootstrap` names a broker."""
    home = Path(tempfile.mkdtemp(prefix="database-", dir=folder)).resolve()
    try:
        with EmbeddedPostgres(home) as server:
            deployment.ensure_database(server.admin_url)
            database = Database(admin_url=server.admin_url)
            deploy(database)
            yield Stand(database=database, server=server, bootstrap=bootstrap, home=home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def new_topic(name: str) -> str:
    """A topic's name that no other measurement has."""
    return f"{name}-{secrets.token_hex(4)}"


@contextmanager
def new_broker(folder: Path) -> Iterator[str]:
    """host:port of a broker: the given one of KAFKA_BOOTSTRAP_SERVERS, or one of the bench's own in `folder`."""
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield given
        return
    with LocalBroker(folder) as broker:
        yield broker.bootstrap


class Child:
    """A process of the product or of the bench, with its log in a file; use it as a context manager."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._name = Path(command[0]).name
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        with log.open("wb") as output:
            # Supervised processes end with their standard input, and so with this process.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output, env={**inherited, **environment}
            )
        self.process = psutil.Process(self._process.pid)

    @property
    def cpu_seconds(self) -> float:
        """What it has computed so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    @property
    def resident_bytes(self) -> int:
        """Its resident memory."""
        return int(self.process.memory_info().rss)

    def wait_for(self, pattern: re.Pattern[str]) -> str:
        """The first group of the pattern, once it is in the log. Raises StackError with the log's end."""
        deadline = time.monotonic() + BEGIN_SECONDS
        while (match := pattern.search(self.log())) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise StackError(f"{self._name} did not begin. Its log ends with:\n{self.log()[-3000:]}")
            time.sleep(LOOK_SECONDS)
        return match[1]

    def log(self) -> str:
        """What it has told so far."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """End it, in an orderly way where it still can."""
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


@contextmanager
def serving(stand: Stand, topic: str) -> Iterator[tuple[Child, str]]:
    """The API as `workbench serve` runs it, publishing to the topic; yields it and its base URL."""
    command = [str(WORKBENCH), "serve", "--port", "0", "--supervised"]
    with Child(command, stand.environment(topic), stand.home / "serve.log") as child:
        yield child, child.wait_for(LISTENING)


@contextmanager
def consuming(stand: Stand, topic: str) -> Iterator[Child]:
    """A consumer as `workbench consume` runs it, once it has partitions."""
    command = [str(WORKBENCH), "consume", "--member", "bench", "--supervised"]
    with Child(command, stand.environment(topic), stand.home / "consume.log") as child:
        child.wait_for(CONSUMING)
        yield child
