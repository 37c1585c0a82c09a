"""compose.yaml: what every service of the stack must be, read by Docker Compose itself."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.settings import PLAIN, PREFIX, Settings
from tests.composition import OURS, PROFILES, ROOT, TOOLS, a_new_installation, compose, runs_once, services

EVERY_SERVICE = {name: service for profile in PROFILES for name, service in services(profile).items()}
REQUIRED = [name for name, value in a_new_installation().items() if value]
PROVIDED = {"migrate": ("DATABASE_URL", "postgres"), "topic": ("KAFKA_BOOTSTRAP_SERVERS", "kafka")}
"""Who prepares what, by the variable of those who need it; and the server that it is prepared in."""

every_service = pytest.mark.parametrize("name", EVERY_SERVICE)
every_required = pytest.mark.parametrize("name", REQUIRED)
our_services = pytest.mark.parametrize("name", [name for name, it in EVERY_SERVICE.items() if it["image"] in OURS])


def own_settings(service: dict[str, Any]) -> dict[str, str]:
    """The variables of a service that our own processes read."""
    return {name: value for name, value in service["environment"].items() if name.startswith(PREFIX) or name in PLAIN}


def test_docker_compose_and_hadolint_find_nothing_wrong() -> None:
    ended = subprocess.run(["sh", "docker/check.sh", str(TOOLS)], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@every_required
def test_without_any_one_of_its_settings_nothing_starts_and_the_error_says_what_to_do(name: str) -> None:
    ended = compose("config", "--quiet", settings=a_new_installation() | {name: ""})
    assert ended.returncode != 0
    assert name in ended.stderr
    assert "make up" in ended.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_adds_its_own_services_and_takes_none_away(profile: str) -> None:
    added = {"": set(), "standby": {"standby"}, "zookeeper": {"zookeeper"}}[profile]
    assert set(services(profile)) - set(services()) == added
    assert set(services()) <= set(services(profile))


@every_service
def test_no_service_has_more_rights_than_it_needs(name: str) -> None:
    service = EVERY_SERVICE[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert int(service["user"].split(":")[0]) > 0
    assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"}
    assert not any("docker.sock" in volume["source"] for volume in service.get("volumes", []))


@every_service
def test_no_service_can_take_all_memory_or_fill_the_disk_with_its_log(name: str) -> None:
    service = EVERY_SERVICE[name]
    assert int(service["mem_limit"]) <= 2 << 30
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


@every_service
def test_every_image_is_pinned_or_built_here_and_never_fetched_by_the_name_of_ours(name: str) -> None:
    service = EVERY_SERVICE[name]
    if service["image"] in OURS:
        assert service["pull_policy"] == "build"
        assert service["build"]["target"] in ("workbench", "airflow")
    else:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+[\w.-]*", service["image"])


@every_service
def test_every_service_tells_when_it_is_well_or_is_done_once_it_has_succeeded(name: str) -> None:
    service = EVERY_SERVICE[name]
    assert runs_once(service) != ("healthcheck" in service)
    if "healthcheck" in service:
        assert service["restart"] == "unless-stopped"
        assert {"test", "timeout", "interval", "start_period", "start_interval"} <= service["healthcheck"].keys()


@every_service
def test_what_runs_once_is_waited_for_by_others_so_that_up_with_wait_takes_its_end_for_success(name: str) -> None:
    """`up --wait` fails on a container that ended, however well, unless somebody waits for its success."""
    if runs_once(EVERY_SERVICE[name]):
        waiting = [other["depends_on"][name] for other in EVERY_SERVICE.values() if name in other.get("depends_on", {})]
        assert waiting
        assert all(each["condition"] == "service_completed_successfully" for each in waiting)


def before(name: str) -> set[str]:
    """All services that are ready before this one starts."""
    direct = set(EVERY_SERVICE[name].get("depends_on", {}))
    return direct.union(*(before(each) for each in direct))


@our_services
def test_who_uses_the_database_or_the_stream_starts_when_it_is_prepared(name: str) -> None:
    for preparation, (variable, server) in PROVIDED.items():
        if EVERY_SERVICE[name]["environment"].get(variable):
            assert name == preparation or preparation in before(name)
            assert server in before(name)


@every_service
def test_ports_are_published_to_this_machine_alone_until_somebody_says_otherwise(name: str) -> None:
    assert all(port["host_ip"] == "127.0.0.1" for port in EVERY_SERVICE[name].get("ports", []))


def test_only_what_people_use_is_on_a_network_with_a_way_out() -> None:
    outside = {name for name, service in EVERY_SERVICE.items() if "front" in service["networks"]}
    published = {name for name, service in EVERY_SERVICE.items() if service.get("ports")}
    airflow = {name for name in EVERY_SERVICE if name.startswith("airflow")}
    assert published <= outside == published | airflow
    assert all("data" in service["networks"] for service in EVERY_SERVICE.values())


@our_services
def test_our_processes_understand_every_setting_that_they_are_given(name: str) -> None:
    given = own_settings(EVERY_SERVICE[name])
    Settings.from_environment(given)
    with pytest.raises(SettingsError, match="WORKBENCH_PROT"):
        Settings.from_environment(given | {"WORKBENCH_PROT": "8000"})


def test_metabase_is_not_given_what_provisioning_sets_since_the_environment_would_win_for_ever() -> None:
    given = EVERY_SERVICE["metabase"]["environment"]
    assert not [name for name in given if re.match(r"MB_(EMBEDDING|ENABLE|ANON_TRACKING|SETUP|ADMIN|SITE)", name)]


def test_a_standby_has_the_settings_of_its_primary() -> None:
    assert EVERY_SERVICE["standby"]["command"] == EVERY_SERVICE["postgres"]["command"]
    assert EVERY_SERVICE["standby"]["image"] == EVERY_SERVICE["postgres"]["image"]


def test_the_broker_of_the_older_pair_is_of_the_release_of_its_zookeeper() -> None:
    older = re.search(r"^#KAFKA_VERSION=(.+)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert older is not None
    both = services("zookeeper", KAFKA_MODE="zookeeper", KAFKA_VERSION=older[1])
    assert both["kafka"]["image"] == both["zookeeper"]["image"]
