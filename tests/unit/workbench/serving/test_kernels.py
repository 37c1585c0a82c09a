"""What marimo must not be set up to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from marimo._config.config import DEFAULT_CONFIG
from marimo._config.settings import GLOBAL_SETTINGS

from pipeline.core.errors import SettingsError
from workbench.serving.catalog import Notebook
from workbench.serving.kernels import MUST_BE_OFF, require_safe


def test_marimo_as_it_comes_may_be_served() -> None:
    require_safe(DEFAULT_CONFIG, [])


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, name, _ in MUST_BE_OFF])
def test_a_setting_that_mixes_tenants_is_refused_by_its_name(group: str, name: str) -> None:
    config: dict[str, Any] = {group: {name: True}}
    with pytest.raises(SettingsError, match=rf"{group}\.{name} is on"):
        require_safe(config, [])


def test_another_transport_is_refused() -> None:
    with pytest.raises(SettingsError, match="transport"):
        require_safe({"server": {"transport": "sse"}}, [])


@pytest.mark.parametrize("name", ["DISABLE_AUTH_ON_VIRTUAL_FILES", "ENABLE_HOST"])
def test_an_environment_that_opens_files_or_hosts_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(GLOBAL_SETTINGS, name, True)
    with pytest.raises(SettingsError, match="environment"):
        require_safe({}, [])


def test_saved_sessions_beside_a_notebook_are_refused(tmp_path: Path) -> None:
    notebook = Notebook(name="rows", title="", question="", path=tmp_path / "rows.py")
    saved = tmp_path / "__marimo__" / "session"
    saved.mkdir(parents=True)
    require_safe({}, [notebook])
    (saved / "rows.py.json").write_text("{}")
    with pytest.raises(SettingsError, match="saved sessions"):
        require_safe({}, [notebook])
