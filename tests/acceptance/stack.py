"""The stack of a user's story: `workbench up` with settings of its own, and commands as processes beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil

from pipeline.core.database import Database
from pipeline.core.embedded import EmbeddedPostgres
from tests.integration.cli.stack_process import WORKBENCH, StackProcess

LONGEST_COMMAND_SECONDS = 150
LINES_SHOWN = 60


class UserStack(StackProcess):
    """A stack on a home folder, with the server's settings as shipped."""

    def __init__(self, home: Path, **settings: object) -> None:
        """`settings` by their names without WORKBENCH_, in small letters."""
        super().__init__(home)
        self._environment |= {f"WORKBENCH_{name.upper()}": str(value) for name, value in settings.items()}
        self._server = EmbeddedPostgres(home)
        self._last_url = ""

    def process(self, *words: str) -> str:
        """What a command tells that runs as a process of its own and ends well."""
        ended = subprocess.run(
            (*WORKBENCH, *words),
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_COMMAND_SECONDS,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    @property
    def last_url(self) -> str:
        """Where the stack is, or was, while it starts again."""
        if state := self._state():
            self._last_url = state["url"]
        return self._last_url

    def last_lines(self) -> str:
        """The end of what the stack has said."""
        return "\n".join((self.home / "up.log").read_text(errors="replace").splitlines()[-LINES_SHOWN:])

    @property
    def server(self) -> Database:
        """The database, for who looks from outside."""
        return Database(admin_url=self._server.admin_url)

    def postmaster(self) -> psutil.Process | None:
        """The database server's first process, or None while none runs: the pid file alone proves nothing."""
        return self._server.process()
