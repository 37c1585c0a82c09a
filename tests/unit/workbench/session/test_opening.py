"""Where a tenant reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import SettingsError
from workbench.session.connection import conninfo
from workbench.session.opening import cache_folder, connect


def test_every_session_is_in_utc_read_only_and_keeps_what_the_address_asks_for() -> None:
    found = conninfo("postgresql://t_1@primary/workbench?options=-c%20work_mem%3D4MB&connect_timeout=3")
    assert "'-c work_mem=4MB -c timezone=UTC -c default_transaction_read_only=on" in found
    assert "connect_timeout=3 " in found
    assert "tcp_user_timeout=30000" in found


def test_without_an_address_the_remedy_names_the_command() -> None:
    with pytest.raises(SettingsError, match="workbench db url --tenant"):
        connect(None, {})


def test_extracts_go_where_caches_go_on_this_machine() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/workbench/extracts")
    assert cache_folder({}) == Path.home() / ".cache/workbench/extracts"
