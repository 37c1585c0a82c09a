"""Settings out of an environment."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.settings import GROUPS, PLAIN, Settings

SECRET = "s" * 32


def test_an_empty_environment_gives_the_embedded_mode() -> None:
    settings = Settings.from_environment({})
    assert settings.database_url is None
    assert settings.home == Path(".workbench")
    assert settings.port == 8000


def test_values_are_converted_and_limits_are_reached_by_their_names() -> None:
    settings = Settings.from_environment(
        {"WORKBENCH_PORT": "9001", "WORKBENCH_HOME": "/srv/w", "WORKBENCH_LIMIT_EVENTS": "7", "PATH": "/bin"}
    )
    assert (settings.port, settings.home, settings.limits.events) == (9001, Path("/srv/w"), 7)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"WORKBENCH_PROT": "9001"}, "WORKBENCH_PROT"),
        ({"WORKBENCH_PORT": "many"}, "port"),
        ({"WORKBENCH_PORT": "70000"}, "port"),
        ({"WORKBENCH_PROMOTE_EVERY_SECONDS": "0"}, "promote_every_seconds"),
        ({"WORKBENCH_LIMIT_EVENTS": "-1"}, "events"),
        ({"WORKBENCH_LIMIT_EVENT": "5"}, "event"),
        ({"WORKBENCH_LOG_LEVEL": "loud"}, "log_level"),
        ({"DATABASE_URL": "postgresql://x@h/d"}, "WORKBENCH_SECRET"),
        ({"WORKBENCH_SECRET": "short"}, "WORKBENCH_SECRET"),
        ({"WORKBENCH_DATABASE_URL": "postgresql://x@h/d"}, "WORKBENCH_DATABASE_URL"),
        ({"WORKBENCH_KAFKA_BOOTSTRAP_SERVERS": "h:9092"}, "bootstrap_servers"),
        ({"WORKBENCH_KAFKA_PARTITIONS": "0"}, "partitions"),
        ({"WORKBENCH_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "WORKBENCH_KAFKA_SASL_USERNAME"),
        ({"WORKBENCH_KAFKA_SSL_KEY_FILE": "key.pem"}, "WORKBENCH_KAFKA_SSL_CERTIFICATE_FILE"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Settings.from_environment(environment)


def test_the_stream_is_reached_by_the_name_that_other_programs_know_and_has_settings_of_its_own() -> None:
    settings = Settings.from_environment({"KAFKA_BOOTSTRAP_SERVERS": "a:9092,b:9092", "WORKBENCH_KAFKA_TOPIC": "t"})
    assert (settings.kafka_bootstrap_servers, settings.kafka.topic) == ("a:9092,b:9092", "t")


def test_no_error_repeats_the_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"WORKBENCH_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_a_configured_server_with_a_secret_is_accepted() -> None:
    settings = Settings.from_environment({"DATABASE_URL": "postgresql://a@h/d", "WORKBENCH_SECRET": SECRET})
    assert settings.database_url == "postgresql://a@h/d"


def test_the_documentation_names_every_setting_with_its_default() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", documented, re.MULTILINE))
    defaults = Settings.from_environment({})
    names = dict.fromkeys(PLAIN) | {
        f"WORKBENCH_{name.upper()}": getattr(defaults, name)
        for name in Settings.__struct_fields__
        if name not in GROUPS and name.upper() not in PLAIN
    }
    for group, prefix in GROUPS.items():
        values = msgspec.structs.asdict(getattr(defaults, group))
        names |= {f"WORKBENCH_{prefix.upper()}{name.upper()}": value for name, value in values.items()}
    told = {name: "unset" if value is None else str(value) for name, value in names.items()}
    assert {name: text.replace(",", "") for name, text in rows.items()} == told
