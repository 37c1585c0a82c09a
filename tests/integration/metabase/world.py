"""A Metabase and a database that belong together, as tests of the metabase commands see them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pipeline.core.database import Database
from pipeline.core.embedding_secret import embedding_secret
from tests.fakes.metabase import FakeMetabase
from workbench.metabase.applying import Applier
from workbench.metabase.desired import Desired, Site, desired_of
from workbench.metabase.opening import Administrator, reached
from workbench.metabase.provisioning import Applied, Standing, apply, look
from workbench.metabase.reading import Holdings
from workbench.metabase.spec import SpecFile, read_specs

USER, PASSWORD = "metabase@example.com", "one strong password 1"
SECRET = "the secret of the tests of metabase"
PUBLIC_URL = "https://metabase.example.com"


def environment(database: Database, metabase: FakeMetabase, home: Path) -> dict[str, str | None]:
    """The settings of the command line."""
    return {
        "DATABASE_URL": database.admin_url,
        "WORKBENCH_SECRET": SECRET,
        "WORKBENCH_HOME": str(home),
        "WORKBENCH_METABASE_URL": metabase.url,
        "WORKBENCH_METABASE_PUBLIC_URL": PUBLIC_URL,
        "WORKBENCH_METABASE_ADMIN_EMAIL": USER,
        "WORKBENCH_METABASE_ADMIN_PASSWORD": PASSWORD,
    }


@cache
def shipped() -> tuple[SpecFile, ...]:
    """The dashboards of this release."""
    return read_specs()


class Provisioned:
    """A Metabase with the shipped dashboards, on a database."""

    def __init__(self, database: Database, metabase: FakeMetabase) -> None:
        self.database = replace(database, secret=SECRET)
        self.metabase = metabase
        self.administrator = Administrator(url=metabase.url, email=USER, password=PASSWORD)

    def desired(self, *, origins: tuple[str, ...] = ()) -> Desired:
        """What must be there."""
        server = conninfo_to_dict(self.database.admin_url)
        site = Site(
            name="Analytics",
            url=PUBLIC_URL,
            secret=embedding_secret(SECRET, 1),
            origins=origins,
            host=str(server.get("host") or "localhost"),
            port=int(server.get("port") or 5432),
            dbname=str(server["dbname"]),
        )
        return desired_of(shipped(), site)

    def apply(self, desired: Desired | None = None) -> Applied:
        """Bring it to that."""
        return apply(
            self.database,
            self.administrator,
            desired or self.desired(),
            generation=1,
            site_name="Analytics",
            site_url=PUBLIC_URL,
            actor="tests",
            progress=lambda _: None,
            patience_seconds=5,
        )

    def provision(self) -> None:
        """Bring a new Metabase to that, and tell the database nothing."""
        desired = self.desired()
        with reached(self.administrator, patience_seconds=5) as metabase:
            metabase.set_up(email=USER, password=PASSWORD, site_name="Analytics")
            holdings = Holdings(metabase, desired)
            holdings.read()
            passwords = self.database.password
            Applier(metabase, desired, holdings, passwords=passwords, progress=lambda _: None).apply()

    def look(self) -> Standing:
        """How it stands."""
        return look(self.database, self.administrator, self.desired(), patience_seconds=5)
