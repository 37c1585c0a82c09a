"""The way of docs/compose.md, from nothing to a dashboard, walked with its own commands.

`docker compose exec` becomes the same command with the service's own settings, `curl` a request. Metabase is the one
that enforces its documented contract; everything else is real.
"""

from __future__ import annotations

import itertools
import re
import shlex
import time
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest

from tests.composition import ROOT
from tests.fakes.metabase import running_metabase
from tests.integration.compose.containers import Container, NewContainer

PATIENCE_SECONDS = 60
DOCUMENT = (ROOT / "docs" / "compose.md").read_text()
WAY = DOCUMENT.partition("## From nothing")[2].partition("\n## ")[0]
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", WAY, re.DOTALL | re.MULTILINE)
    for line in block.replace("\\\n", " ").splitlines()
]


class Walker:
    """Somebody who types the lines of the document."""

    def __init__(self, new_container: NewContainer, api: Container, elsewhere: dict[str, str]) -> None:
        self._new_container = new_container
        self._elsewhere = elsewhere
        self._base = api.health_url().rpartition("/")[0]
        self._key = ""

    def type(self, line: str) -> Any:
        """What comes of a line."""
        if inside := re.search(r"docker compose exec (?:-T )?([\w-]+) (workbench [^)]+)", line):
            service = self._new_container(inside[1], self._elsewhere)
            said = service.run(*shlex.split(inside[2]))
            if line.startswith("KEY="):
                self._key = said.splitlines()[0]
            return said
        words = shlex.split(line.replace("$KEY", self._key))
        headers = dict(word.split(": ", 1) for before, word in itertools.pairwise(words) if before == "-H")
        url = words[1].replace("http://localhost:8000", self._base)
        answer = httpx.post(url, content=words[words.index("-d") + 1], headers=headers, trust_env=False, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.mark.long
def test_who_follows_the_document_sees_the_event_on_the_dashboard_of_the_tenant(new_container: NewContainer) -> None:
    for name in ("migrate", "topic"):
        new_container(name).run()
    with running_metabase() as metabase, ExitStack() as running:
        elsewhere = {"http://metabase:3000": metabase.url}
        for name in ("metabase-provision", "api", "consumer"):
            running.enter_context(new_container(name, elsewhere)).start()
        api = new_container("api", elsewhere)
        walker = Walker(new_container, api, elsewhere)
        answers = []
        for line in LINES:
            if "workbench users add" in line:
                continue  # It asks for a password, which takes a terminal.
            if line.endswith("workbench promote"):
                wait_until_landed(api.environment()["DATABASE_URL"])
            answers.append(walker.type(line))
        [shown] = [answer for answer in answers if isinstance(answer, dict) and "url" in answer]
        assert shown["url"].startswith("http://localhost:3000/embed/dashboard/")
        assert shown["held"] is False
        assert active_users(metabase.url, shown["token"]) == 1


def wait_until_landed(database_url: str) -> None:
    """Return when the event is in the database."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while connection.execute("select count(*) from raw.usage_events").fetchone() != (1,):
            assert time.monotonic() < deadline, "the event does not land"
            time.sleep(0.1)


def active_users(metabase: str, token: str) -> int:
    """The most that the card `Active users` of the dashboard shows of any period."""
    shown = f"{metabase}/api/embed/dashboard/{token}"
    with httpx.Client(trust_env=False, timeout=30) as viewer:
        cards = viewer.get(shown).json()["dashcards"]
        [card] = [each for each in cards if each.get("card", {}).get("name") == "Active users"]
        answer = viewer.get(f"{shown}/dashcard/{card['id']}/card/{card['card_id']}").json()
    names = [column["name"] for column in answer["data"]["cols"]]
    return int(max(row[names.index("active_users")] for row in answer["data"]["rows"]))
