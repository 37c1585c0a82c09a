"""docs/compose.md says what is so: commands, services, snippets of settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.core.settings import Settings
from tests.composition import OURS, PROFILES, ROOT, a_new_installation, compose, runs_once, services
from tests.unit.cli.test_documentation import parse
from workbench.metabase.spec import read_specs

TEXT = (ROOT / "docs" / "compose.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
LINES = [line for kind, block in BLOCKS if kind == "sh" for line in block.replace("\\\n", "").splitlines()]
INSIDE = re.compile(r"docker compose exec (?:-T )?(?P<service>[\w-]+) (?P<command>workbench [^)]+)")
EVERY_SERVICE = {name: service for profile in PROFILES for name, service in services(profile).items()}


def blocks(kind: str) -> list[str]:
    """The blocks of a kind."""
    return [block for found, block in BLOCKS if found == kind]


@pytest.mark.parametrize("call", [match for line in LINES if (match := INSIDE.search(line))], ids=lambda call: call[0])
def test_a_command_in_a_container_is_one_of_ours_in_a_service_that_stays(call: re.Match[str]) -> None:
    service = EVERY_SERVICE[call["service"]]
    assert service["image"] in OURS
    assert not runs_once(service)
    parse(call["command"].strip())


def test_each_target_of_make_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake (\w+)(?= |`|$)", "\n".join(LINES), re.MULTILINE))
    assert {"up", "down", "logs"} <= named <= targets


def named(cell: str) -> set[str]:
    """What stands between backquotes, of single words."""
    return set(re.findall(r"`([\w-]+)`", cell))


def test_the_table_has_every_service_with_what_it_waits_for_and_where_its_data_is() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("| `")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert {name for services_of_row, *_ in rows for name in named(services_of_row)} == set(EVERY_SERVICE)
    for services_of_row, _, after, data in rows:
        for name in named(services_of_row):
            service = EVERY_SERVICE[name]
            assert named(after) <= before(name), name
            volumes = {it["source"] for it in service.get("volumes", []) if it["type"] == "volume"}
            # Metabase keeps its data in the database.
            assert named(data) <= volumes | named(after), name


def before(name: str) -> set[str]:
    """All services that are ready before this one starts."""
    direct = {each for each, how in EVERY_SERVICE[name].get("depends_on", {}).items() if how["required"]}
    return direct.union(*(before(each) for each in direct))


def test_the_picture_has_every_service_that_stays() -> None:
    [picture] = blocks("mermaid")
    for name, service in EVERY_SERVICE.items():
        if not runs_once(service):
            assert name.removeprefix("airflow-").removeprefix("metabase-").replace("-", "") in picture.replace("-", "")


@pytest.mark.parametrize("snippet", blocks(""))
def test_settings_that_are_shown_are_those_of_the_example(snippet: str) -> None:
    example = (ROOT / ".env.example").read_text()
    assert "".join(f"#{line}\n" for line in snippet.splitlines()) in example
    given = dict(line.split("=", 1) for line in snippet.splitlines())
    assert compose("config", "--quiet", settings=a_new_installation() | given).returncode == 0


def test_secrets_as_files_reach_every_process_of_ours_that_had_them_as_a_variable(tmp_path: Path) -> None:
    [snippet] = blocks("yaml")
    override, secret = tmp_path / "compose.override.yaml", tmp_path / "workbench.secret"
    override.write_text(snippet)
    secret.write_text("s" * 64)
    files = ("compose.yaml", str(override))
    ended = compose("config", "--format", "json", settings=a_new_installation(), files=files)
    assert ended.returncode == 0, ended.stderr
    merged: dict[str, Any] = msgspec.json.decode(ended.stdout)["services"]
    had = [name for name, it in services().items() if "WORKBENCH_SECRET" in it["environment"]]
    for name in had:
        environment = merged[name]["environment"] | {"WORKBENCH_SECRET_FILE": str(secret)}
        assert merged[name]["environment"]["WORKBENCH_SECRET_FILE"] == "/run/secrets/workbench"
        ours = {key: value for key, value in environment.items() if key.startswith(("WORKBENCH_", "DATABASE_URL"))}
        assert Settings.from_environment(ours).secret == "s" * 64


def test_the_dashboard_that_is_asked_for_is_one_that_is_made_for_customers() -> None:
    [request] = [shlex.split(line) for line in LINES if "/v1/embeds" in line]
    asked = msgspec.json.decode(request[request.index("-d") + 1])["dashboard"]
    assert asked in {each.slug for each in read_specs() if each.dashboard.audience == "customers"}
