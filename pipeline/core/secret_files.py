"""Secrets in files: beside each secret, its name with `_FILE` may name a file that holds it.

Orchestrators mount secrets as files, which neither the list of processes nor `docker inspect` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import SettingsError

SECRETS = (
    "DATABASE_URL",
    "ANALYST_DATABASE_URL",
    "WORKBENCH_SECRET",
    "WORKBENCH_KAFKA_SASL_PASSWORD",
    "WORKBENCH_METABASE_ADMIN_PASSWORD",
    "WORKBENCH_NOTEBOOKS_OIDC_CLIENT_SECRET",
    "WORKBENCH_WEBHOOK_SECRET",
)
"""Settings that may be given as files."""
SUFFIX = "_FILE"


def with_secret_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with each secret that is named as a file in its place; white space around it is not part of it.

    Raises SettingsError, repeating no secret, where a secret is given twice, or its file cannot be read or is empty.
    """
    read = {name: value for name, value in environment.items() if name.removesuffix(SUFFIX) not in SECRETS}
    read |= {name: environment[name] for name in SECRETS if name in environment}
    for name in SECRETS:
        if file := environment.get(name + SUFFIX):
            if environment.get(name):
                raise SettingsError(f"{name} and {name}{SUFFIX} are both set.", remedy="Set one of them.")
            read[name] = _read(name, Path(file))
    return read


def _read(name: str, file: Path) -> str:
    try:
        secret = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(
            f"{name}{SUFFIX} names {file}, which cannot be read: {reason}.",
            remedy="The file must be readable by the user that the process runs as.",
        ) from error
    if not secret:
        raise SettingsError(f"{name}{SUFFIX} names {file}, which is empty.")
    return secret
