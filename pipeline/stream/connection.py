"""How a Kafka client of ours reaches the brokers: the settings as the client library wants them.

Nothing is connected here. What must be true of the topic is in `topic.py`.
"""

from __future__ import annotations

import ssl
from typing import Any

from pipeline.core.errors import SettingsError
from pipeline.core.settings import KafkaSettings, Settings

CLIENT_ID = "workbench"
HIGHEST_PORT = 65_535


def bootstrap_servers(settings: Settings) -> list[str]:
    """The brokers to ask first, each as host:port. Raises SettingsError where none or a malformed one is set."""
    servers = [server.strip() for server in (settings.kafka_bootstrap_servers or "").split(",")]
    servers = [server for server in servers if server]
    if not servers:
        raise SettingsError(
            "KAFKA_BOOTSTRAP_SERVERS is not set.", remedy="Set it to the brokers as host:port, comma-separated."
        )
    for server in servers:
        host, _, port = server.rpartition(":")
        # An IPv6 address goes in brackets, as everywhere.
        bare_address = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not host or "/" in host or bare_address or not _is_port(port):
            raise SettingsError(
                f"KAFKA_BOOTSTRAP_SERVERS names {server!r}, which is not host:port.",
                remedy="Write it as kafka-1.example.com:9092, several with commas between them.",
            )
    return servers


def client_options(settings: Settings) -> dict[str, Any]:
    """What producers, consumers and administration clients of aiokafka have in common, as keyword arguments.

    Raises SettingsError naming the setting that is missing, malformed or names an unreadable file.
    """
    kafka = settings.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers(settings),
        "client_id": CLIENT_ID,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        settings.require_credentials()
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password,
        }
    return options


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= HIGHEST_PORT


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
    except OSError as error:
        raise _unreadable("WORKBENCH_KAFKA_SSL_CA_FILE", kafka.ssl_ca_file, error) from error
    if kafka.ssl_certificate_file is not None:
        try:
            context.load_cert_chain(kafka.ssl_certificate_file, kafka.ssl_key_file)
        except OSError as error:
            names = "WORKBENCH_KAFKA_SSL_CERTIFICATE_FILE and WORKBENCH_KAFKA_SSL_KEY_FILE"
            files = f"{kafka.ssl_certificate_file} and {kafka.ssl_key_file}"
            raise _unreadable(names, files, error) from error
    return context


def _unreadable(names: str, files: object, error: OSError) -> SettingsError:
    # An ssl.SSLError is an OSError, too: a file that is there and no PEM.
    return SettingsError(
        f"{names}: {files} cannot be used: {error.strerror or error}.",
        remedy="It must be a PEM file that this process may read.",
    )
