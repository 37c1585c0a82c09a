"""Services of compose.yaml as processes of this machine: the same words and variables, in other places.

A container's paths become folders of the test, its host names addresses of this machine, its ports free
ones; nothing else is changed. Where this machine allows it (Linux, as root), a process gets what the
service says of its rights, too: a root file system that is read-only except for volumes and tmpfs, no
capabilities, and no way to new ones. It is no engine: images, networks and limits are not there.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from tests.composition import OURS, ROOT, TOOLS
from tests.dockerfile import read_stages, variables, words

PATIENCE_SECONDS = 90.0
LOOK_SECONDS = 0.4
HEALTH_SECONDS = 30.0
SHOWN_LINES = 40
STAGES = read_stages()

# The folders are bound to themselves first, so that they stay writable when everything else no longer is.
CONFINED = """
separator=--
while [ "$1" != $separator ]; do mount --bind "$1" "$1"; shift; done
shift
mount -o remount,bind,ro /
whom=${AS_WHOM:+--clear-groups --reuid=$AS_WHOM --regid=$AS_WHOM}
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all $whom "$@"
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def can_confine() -> bool:
    """Whether this machine lets a test take rights away from a process in this way."""
    tools = all(shutil.which(tool) for tool in ("unshare", "setpriv", "mount"))
    return tools and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


CONFINES = can_confine()
PORTS = {"api": "8000", "consumer": "9101", "notebooks": "8080", "metrics": "9103"}
"""Which of our services is asked for its health at which port."""


class Container:
    """One service, run as a process. Use it as a context manager, to have it ended."""

    def __init__(
        self,
        name: str,
        service: Mapping[str, Any],
        *,
        folder: Path,
        places: Mapping[str, str],
        given: Mapping[str, str] | None = None,
        path: str = "",
        user: str | None = None,
    ) -> None:
        """`places` are other names for what stands in words and variables; `given` are variables of the image.

        `path` comes before the tools of this environment on the PATH. `user` is who runs it where a test runs as root.
        """
        self.name = name
        self.service = service
        self._folder = folder
        self._writable = self._folders()
        self._places = {**self._paths(), **places}
        self._path = os.pathsep.join(filter(None, (path, str(TOOLS), os.environ["PATH"])))
        self._given = given or {}
        self._user = user if os.geteuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{name}.log"

    def words(self) -> list[str]:
        """What is run."""
        entrypoint, command = self.service["entrypoint"], self.service["command"]
        if entrypoint is None and self.service["image"] in OURS:
            entrypoint = words(STAGES, self.service["build"]["target"], "ENTRYPOINT")
        return [self._here(word) for word in [*(entrypoint or []), *(command or [])]]

    def environment(self) -> dict[str, str]:
        """What the process finds in its environment: what the image and the service say, and nothing of this one."""
        image = variables(STAGES, self.service["build"]["target"]) if self.service["image"] in OURS else {}
        said = {**image, **self._given, **self.service["environment"]}
        home = next(iter(self._writable), self._folder)
        return {name: self._here(str(value)) for name, value in said.items()} | {
            "PATH": self._path,
            "HOME": str(home),
            "TMPDIR": str(self._temporary()),
        }

    def run(self, *command: str, exits: int = 0) -> str:
        """Run it to its end, or another command in its place; what it said, its notes last.

        Fails the test on another exit code.
        """
        ended = subprocess.run(
            self._confined(list(command) or self.words()),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == exits, f"{self.name} ended with {ended.returncode}:\n{said}"
        return said

    def start(self) -> Self:
        """Start it, and wait until its health check passes."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._confined(self.words()),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_healthy():
            assert self._process.poll() is None, f"{self.name} ended with {self._process.returncode}:\n{self.said()}"
            assert time.monotonic() < deadline, f"{self.name} is not well after {PATIENCE_SECONDS:g} s:\n{self.said()}"
            time.sleep(LOOK_SECONDS)
        return self

    def is_healthy(self) -> bool:
        """Whether its health check passes now."""
        kind, *test = self.service["healthcheck"]["test"]
        command = ["sh", "-c", *test] if kind == "CMD-SHELL" else test
        checked = subprocess.run(
            self._confined([self._here(word) for word in command]),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=HEALTH_SECONDS,
        )
        return checked.returncode == 0

    def health_url(self) -> str:
        """The address that its health check asks."""
        return self._here(self.service["healthcheck"]["test"][-1])

    def said(self) -> str:
        """The end of what it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])

    def stop(self) -> int:
        """End it as an engine does; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE_SECONDS)

    def _folders(self) -> dict[Path, str]:
        """The folders that it may write to, by what it calls them."""
        volumes = self.service.get("volumes", [])
        folders = {self._folder / "volumes" / it["source"]: it["target"] for it in volumes if it["type"] == "volume"}
        for number, mount in enumerate(self.service.get("tmpfs", [])):
            folders[self._folder / f"{self.name}-tmpfs-{number}"] = mount.split(":")[0]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return folders

    def _temporary(self) -> Path:
        return next(folder for folder, target in self._writable.items() if target == "/tmp")

    def _paths(self) -> dict[str, str]:
        """A container's paths, and what they are here."""
        bound = {it["target"]: it["source"] for it in self.service.get("volumes", []) if it["type"] == "bind"}
        return {"/app": str(ROOT)} | bound | {target: str(folder) for folder, target in self._writable.items()}

    def _here(self, text: str) -> str:
        """The text with each name that means something else here replaced, the longest first."""
        names = sorted(self._places, key=len, reverse=True)
        found = re.compile("|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-])" for name in names))
        return found.sub(lambda match: self._places[match[0]], text)

    def _confined(self, command: list[str]) -> list[str]:
        if not CONFINES:
            return command
        whom = ["env", f"AS_WHOM={self._user}"] if self._user else []
        return [*whom, "unshare", "--mount", "sh", "-ec", CONFINED, "sh", *map(str, self._writable), "--", *command]


NewContainer = Callable[..., Container]
"""Takes the name of a service, where else things are on this machine, and variables of the image."""
