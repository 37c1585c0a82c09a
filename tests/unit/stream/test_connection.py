"""Settings as the client library wants them, and what is told where they cannot work."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.settings import KafkaSettings, Settings
from pipeline.stream.connection import bootstrap_servers, client_options


def settings(servers: str | None = "kafka-1:9092", **kafka: Any) -> Settings:
    return Settings(kafka_bootstrap_servers=servers, kafka=KafkaSettings(**kafka))


def test_brokers_are_a_list_without_the_spaces_between_them() -> None:
    assert bootstrap_servers(settings(" kafka-1:9092, 10.0.0.2:9093 ,[::1]:9094,")) == [
        "kafka-1:9092",
        "10.0.0.2:9093",
        "[::1]:9094",
    ]


@pytest.mark.parametrize("servers", [None, "", " , "])
def test_no_broker_at_all_is_told(servers: str | None) -> None:
    with pytest.raises(SettingsError, match="KAFKA_BOOTSTRAP_SERVERS is not set"):
        client_options(settings(servers))


@pytest.mark.parametrize(
    "server", ["kafka", ":9092", "kafka:", "kafka:0", "kafka:65536", "kafka:x", "http://k:1", "::1:9092"]
)
def test_a_malformed_broker_is_named(server: str) -> None:
    with pytest.raises(SettingsError, match="KAFKA_BOOTSTRAP_SERVERS names") as raised:
        client_options(settings(f"kafka-1:9092,{server}"))
    assert repr(server) in raised.value.message


def test_a_plain_connection_has_neither_credentials_nor_certificates() -> None:
    options = client_options(settings(sasl_username="u", sasl_password="p"))
    assert options == {
        "bootstrap_servers": ["kafka-1:9092"],
        "client_id": "workbench",
        "security_protocol": "PLAINTEXT",
    }


def test_sasl_brings_its_mechanism_and_credentials() -> None:
    options = client_options(settings(security_protocol="SASL_SSL", sasl_username="u", sasl_password="p"))
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("u", "p")
    context = options["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_sasl_without_credentials_is_told() -> None:
    with pytest.raises(SettingsError, match="who logs in is not set"):
        client_options(settings(security_protocol="SASL_PLAINTEXT"))


def test_a_file_of_certificates_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    missing, no_pem = tmp_path / "missing.pem", tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    for file in (missing, no_pem):
        with pytest.raises(SettingsError, match="WORKBENCH_KAFKA_SSL_CA_FILE") as raised:
            client_options(settings(security_protocol="SSL", ssl_ca_file=file))
        assert str(file) in raised.value.message
    with pytest.raises(SettingsError, match="WORKBENCH_KAFKA_SSL_CERTIFICATE_FILE and WORKBENCH_KAFKA_SSL_KEY_FILE"):
        client_options(settings(security_protocol="SSL", ssl_certificate_file=missing, ssl_key_file=no_pem))
