"""The settings of the notebook server."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.errors import SettingsError
from pipeline.core.notebooks import NotebookSettings
from pipeline.core.settings import Settings

OIDC = {"oidc_issuer": "https://id.example.com", "oidc_client_id": "workbench", "oidc_client_secret": "not to be told"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"host": "0.0.0.0", "public_url": "https://notebooks.example.com"},
        {"public_url": "http://127.0.0.1:9000"},
        {"allowed_origins": "https://a.example, https://b.example:8443"},
        OIDC,
        OIDC | {"oidc_issuer": "http://127.0.0.1:9999/realm"},
    ],
)
def test_settings_that_fit_are_taken(values: dict[str, Any]) -> None:
    NotebookSettings(**values).require_whole()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"host": "0.0.0.0"}, "its public address is not set"),
        ({"host": "::"}, "its public address is not set"),
        ({"public_url": "notebooks.example.com"}, "PUBLIC_URL is no address"),
        ({"public_url": "https://notebooks.example.com/path"}, "without a path"),
        ({"public_url": "https://user@notebooks.example.com"}, "PUBLIC_URL is no address"),
        ({"public_url": "https://notebooks.example.com:0"}, "PUBLIC_URL is no address"),
        ({"allowed_origins": "https://a.example, *"}, "ALLOWED_ORIGINS is no address"),
        (OIDC | {"oidc_client_secret": None}, "only some are set"),
        (OIDC | {"oidc_issuer": "http://id.example.com"}, "must begin with https"),
        (OIDC | {"oidc_issuer": "id.example.com"}, "OIDC_ISSUER is no address"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        NotebookSettings(**values).require_whole()
    assert "not to be told" not in str(refused.value)


def test_they_are_read_from_the_environment() -> None:
    read = Settings.from_environment({"WORKBENCH_NOTEBOOKS_PORT": "9000", "WORKBENCH_NOTEBOOKS_SESSIONS": "10"})
    assert (read.notebooks.port, read.notebooks.sessions) == (9000, 10)
    with pytest.raises(SettingsError, match="public address"):
        Settings.from_environment({"WORKBENCH_NOTEBOOKS_HOST": "0.0.0.0"})
