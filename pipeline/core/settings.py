"""Settings: read once per process, from an environment that the composition root passes in.

No secret has a working default outside the embedded mode: with `DATABASE_URL` set,
`WORKBENCH_SECRET` must be set too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.core.errors import SettingsError
from pipeline.core.metabase import MetabaseSettings
from pipeline.core.notebooks import NotebookSettings
from pipeline.core.secret_files import with_secret_files
from pipeline.core.webhook import WebhookSettings

PREFIX = "WORKBENCH_"
PLAIN = ("DATABASE_URL", "ANALYST_DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS")
"""Variables without the prefix, since other programs know them too."""
GROUPS = {
    "limits": "limit_",
    "kafka": "kafka_",
    "webhook": "webhook_",
    "notebooks": "notebooks_",
    "metabase": "metabase_",
}
Positive = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
SHORTEST_SECRET = 32


class IngestLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request and one event may weigh; beyond it the answer is 413, or `invalid` for the event."""

    wire_bytes: Positive = 5_000_000
    """Bytes of a request's body as sent (compressed, if it is)."""
    body_bytes: Positive = 20_000_000
    """Bytes of a request's body after decompression."""
    events: Positive = 5_000
    """Events per request."""
    event_bytes: Positive = 65_536
    """Bytes of one event's JSON text."""
    depth: Positive = 8
    """Levels of nesting in `properties`."""
    keys: Positive = 250
    """Keys in one event's `properties`, at all levels together."""
    string_length: Positive = 8_192
    """Characters of one string."""
    queued_events: Positive = 50_000
    """Events that may wait for landing before the answer is 503."""


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the stream is reached and what its topic must be, in effect with KAFKA_BOOTSTRAP_SERVERS set."""

    topic: str = "tenant_events"
    """The topic of events; created where it is missing."""
    partitions: Positive = 12
    """Partitions that the topic must have at least, and is created with."""
    replication_factor: Positive | None = None
    """Replicas that the topic must have at least, and is created with; unset: the broker's default."""
    retention_hours: Positive = 168
    """Hours that the topic must keep records, at least."""
    group: str = "workbench_landing"
    """The consumer group; what has landed is known by topic, whatever the group."""
    session_seconds: Positive = 30
    """Seconds of silence after which a consumer's partitions go to the others."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."""
    sasl_username: str | None = None
    """Who logs in with SASL."""
    sasl_password: str | None = None
    """The password of who logs in with SASL."""
    ssl_ca_file: Path | None = None
    """PEM file of the authorities that sign the brokers' certificates; unset: those of the system."""
    ssl_certificate_file: Path | None = None
    """PEM file of a client certificate."""
    ssl_key_file: Path | None = None
    """PEM file of the client certificate's key."""
    publish_seconds: Positive = 5
    """How long the broker may take to acknowledge before events go to the spool."""
    spool_bytes: Positive = 1_073_741_824
    """Bytes on disk that one API process may spool while the broker is away."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the environment decides, with its defaults; see `docs/settings.md`."""

    database_url: str | None = None
    """DATABASE_URL: an administrator's libpq URI. Unset: the embedded PostgreSQL in `home`."""
    analyst_database_url: str | None = None
    """ANALYST_DATABASE_URL: a hot standby's libpq URI, where tenants' SQL and notebooks read. Unset: `database_url`."""
    home: Path = Path(".workbench")
    """WORKBENCH_HOME: where the embedded database, its secret and its logs live."""
    secret: str | None = None
    """WORKBENCH_SECRET: 32 characters or more, from which the passwords of all logins are derived."""
    host: str = "127.0.0.1"
    """WORKBENCH_HOST: the address the API listens on."""
    port: Port = 8000
    """WORKBENCH_PORT: the API's port."""
    promote_every_seconds: Positive = 3600
    """WORKBENCH_PROMOTE_EVERY_SECONDS: how often the embedded loop promotes."""
    undo_days: Positive = 14
    """WORKBENCH_UNDO_DAYS: for how long a promotion can be rolled back."""
    history_days: Positive = 90
    """WORKBENCH_HISTORY_DAYS: for how long a promotion's checks and changes are kept; not shorter than the above."""
    thresholds_file: Path | None = None
    """WORKBENCH_THRESHOLDS_FILE: YAML that tunes the quality rules, for all or single tenants. Unset: as declared."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """WORKBENCH_LOG_LEVEL: debug, info, warning or error."""
    log_format: Literal["text", "json"] = "text"
    """WORKBENCH_LOG_FORMAT: text, or json, one object a line."""
    traces_endpoint: str | None = None
    """WORKBENCH_TRACES_ENDPOINT: an OTLP/HTTP address that gets traces. Unset: there are none."""
    schedule_metrics_host: str = "127.0.0.1"
    """WORKBENCH_SCHEDULE_METRICS_HOST: where the metrics of promotions listen; they name held tenants."""
    schedule_metrics_port: Port | None = None
    """WORKBENCH_SCHEDULE_METRICS_PORT: where `workbench schedule` serves them. Unset: nowhere."""
    consume_metrics_host: str = "127.0.0.1"
    """WORKBENCH_CONSUME_METRICS_HOST: where the consumer's metrics listen; they name tenants."""
    consume_metrics_port: Port | None = None
    """WORKBENCH_CONSUME_METRICS_PORT: where `workbench consume` serves its metrics. Unset: nowhere."""
    kafka_bootstrap_servers: str | None = None
    """KAFKA_BOOTSTRAP_SERVERS: brokers as host:port, comma-separated. Unset: the API lands by itself."""
    kafka: KafkaSettings = KafkaSettings()
    """WORKBENCH_KAFKA_<NAME>, for instance WORKBENCH_KAFKA_PARTITIONS."""
    webhook: WebhookSettings = WebhookSettings()
    """WORKBENCH_WEBHOOK_<NAME>, for instance WORKBENCH_WEBHOOK_URL."""
    notebooks: NotebookSettings = NotebookSettings()
    """WORKBENCH_NOTEBOOKS_<NAME>, for instance WORKBENCH_NOTEBOOKS_PORT."""
    metabase: MetabaseSettings = MetabaseSettings()
    """WORKBENCH_METABASE_<NAME>, for instance WORKBENCH_METABASE_URL."""
    limits: IngestLimits = IngestLimits()
    """WORKBENCH_LIMIT_<NAME>, for instance WORKBENCH_LIMIT_EVENTS."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Settings out of environment variables.

        Raises SettingsError naming the variable for a value that does not convert, an unknown
        WORKBENCH_ variable (a misspelt setting must not be silently ignored), or a missing secret.
        """
        environment = with_secret_files(environment)
        given = {name.removeprefix(PREFIX).lower(): v for name, v in environment.items() if name.startswith(PREFIX)}
        groups = {group: _take(given, prefix) for group, prefix in GROUPS.items()}
        unknown = sorted(set(given) - {name for name in cls.__struct_fields__ if name.upper() not in PLAIN})
        if unknown:
            raise SettingsError(
                f"Unknown setting {PREFIX}{unknown[0].upper()}.", remedy="docs/settings.md lists every setting."
            )
        given |= {name.lower(): environment[name] for name in PLAIN if environment.get(name)}
        try:
            settings = msgspec.convert(given | groups, cls, strict=False, dec_hook=_as_path)
        except msgspec.ValidationError as error:
            raise SettingsError(f"A setting has a value that does not fit: {error}.") from error
        settings.require_secret()
        settings.require_credentials()
        settings.webhook.require_whole()
        settings.notebooks.require_whole()
        settings.metabase.require_whole()
        return settings

    def require_secret(self) -> None:
        """Raise SettingsError where a real server is used without a secret of our own."""
        if self.database_url and not self.secret:
            raise SettingsError(
                "DATABASE_URL is set, but WORKBENCH_SECRET is not.",
                remedy="Set it to 32 random characters or more, the same for all processes: openssl rand -hex 32.",
            )
        if self.secret is not None and len(self.secret) < SHORTEST_SECRET:
            raise SettingsError(f"WORKBENCH_SECRET has fewer than {SHORTEST_SECRET} characters.")

    def require_credentials(self) -> None:
        """Raise SettingsError where SASL or a client certificate lacks its other half."""
        kafka = self.kafka
        if kafka.security_protocol.startswith("SASL") and not (kafka.sasl_username and kafka.sasl_password):
            raise SettingsError(
                f"WORKBENCH_KAFKA_SECURITY_PROTOCOL is {kafka.security_protocol}, but who logs in is not set.",
                remedy="Set WORKBENCH_KAFKA_SASL_USERNAME and WORKBENCH_KAFKA_SASL_PASSWORD.",
            )
        if (kafka.ssl_certificate_file is None) != (kafka.ssl_key_file is None):
            raise SettingsError(
                "Of a client certificate only one half is set.",
                remedy="Set both WORKBENCH_KAFKA_SSL_CERTIFICATE_FILE and WORKBENCH_KAFKA_SSL_KEY_FILE.",
            )


def _take(given: dict[str, str], prefix: str) -> dict[str, str]:
    """Take the settings with a prefix out, by the rest of their names."""
    return {name.removeprefix(prefix): given.pop(name) for name in list(given) if name.startswith(prefix)}


def _as_path(wanted: type, value: Any) -> Path:
    """msgspec's hook for types that it does not know: the only one here is Path."""
    if wanted is not Path:
        raise TypeError(wanted)
    return Path(value)
