"""Backup and restore by the very commands of docs/operations.md, and the look that finds what a restore lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core import deployment, fingerprint
from pipeline.core.database import Database, ServiceRole, with_database
from pipeline.core.embedded import EmbeddedPostgres
from pipeline.core.errors import FingerprintMismatch
from pipeline.core.key_register import create_key, list_keys
from pipeline.core.tenants import add_tenant
from pipeline.land.landing import Lander
from tests.conftest import FAST
from tests.factories import event
from tests.integration.operations.processes import variables
from workbench.cli.context import deploy

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
EVENTS = 20


def commands(title: str) -> str:
    """The commands of the block of the document that begins with this comment."""
    blocks: list[str] = re.findall(r"^```sh\n(# .+?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    [found] = [block for block in blocks if block.startswith(f"# {title}")]
    return found


class Home:
    """A folder with an embedded server, and a shell whose `workbench` works on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedPostgres(folder, configuration=FAST)

    @property
    def database(self) -> Database:
        return Database(admin_url=self.server.admin_url)

    def shell(self, script: str, *, exits: int = 0, **settings: str) -> str:
        """What a script says that ends with this code; the server's own tools and our command are at hand."""
        tools = os.pathsep.join([str(self.server._bin), str(Path(sys.executable).parent), os.environ["PATH"]])
        given = variables({"WORKBENCH_HOME": str(self.folder), "DATABASE_URL": None, "PATH": tools, **settings})
        ended = subprocess.run(["bash", "-c", f"set -o pipefail\n{script}"], env=given, capture_output=True, text=True)
        assert ended.returncode == exits, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the server's user may enter: pytest closes its own to others whenever it starts."""
    made = Path(tempfile.mkdtemp(prefix="workbench-backups-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def source(folder: Path) -> Iterator[Home]:
    """A deployment with a tenant and events."""
    home = Home(folder / "source")
    with home.server:
        deployment.ensure_database(home.server.admin_url)
        deployment.close_maintenance_databases(home.server.admin_url)
        deploy(home.database)
        add_tenant(home.database, "acme")
        lander = Lander(lambda: home.database.connect(ServiceRole.LANDER))
        lander.land([event() for _ in range(EVENTS)])
        lander.close()
        yield home


@pytest.fixture
def empty(folder: Path) -> Iterator[Home]:
    """Another server, without our database."""
    home = Home(folder / "other")
    with home.server:
        yield home


def stored(database: Database) -> int:
    with database.connect_admin() as connection:
        row = connection.execute("select count(*) from raw.usage_events where tenant_id = 'acme'").fetchone()
    return int(row[0]) if row else 0


def give_to_the_server(copy: Path, source: Path) -> None:
    """What root copied belongs to root, where the server runs as another user."""
    of = source.stat()
    for path in [copy.parent, copy, *copy.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(path, of.st_uid, of.st_gid)


def test_a_physical_backup_is_a_deployment_as_it_was(source: Home, folder: Path) -> None:
    create_key(source.database, "acme")
    backup = folder / "backup"
    backup.mkdir()
    source.shell(commands("physical backup"), BACKUP=str(backup))
    give_to_the_server(backup / "postgres", source.folder / "postgres")

    said = source.shell(commands("look at the restored database"), BACKUP=str(backup))
    assert re.search(r"ok +fingerprint", said)
    assert re.search(rf"acme\b.*\b{EVENTS}\b", said)
    restored = Home(backup)
    with restored.server:
        assert list_keys(restored.database) == list_keys(source.database)


def test_a_restore_that_lost_a_policy_is_found(source: Home) -> None:
    with source.database.connect_admin() as connection:
        fingerprint.verify(connection)
        connection.execute("alter table marts.fct_usage_events no force row level security")
        with pytest.raises(FingerprintMismatch, match="fct_usage_events"):
            fingerprint.verify(connection)
        connection.rollback()


@pytest.mark.long
def test_a_logical_dump_restores_to_another_server_but_for_what_the_document_says(
    source: Home, empty: Home, tmp_path: Path
) -> None:
    target = with_database(empty.server.admin_url, "postgres")
    source.shell(commands("logical dump"), BACKUP=str(tmp_path))
    said = empty.shell(commands("logical restore"), BACKUP=str(tmp_path), TARGET=target)
    assert re.findall(r"ERROR: +(.+)", said) == ['role "postgres" already exists']
    assert stored(empty.database) == stored(source.database) == EVENTS

    with empty.database.connect_admin() as connection, pytest.raises(FingerprintMismatch) as caught:
        fingerprint.verify(connection)
    differences = re.findall(r"(?:gone|new): +(.+?):", caught.value.message)
    assert set(differences) == {"language sql"}
    empty.shell("workbench db migrate")
    said = empty.shell("workbench doctor")
    assert re.search(r"ok +fingerprint", said)
