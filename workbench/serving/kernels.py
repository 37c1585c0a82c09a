"""marimo, as this server runs it: reading mode only, one application per notebook, and nothing that leaks.

The only module beside `files.py` that knows marimo. Of its parts without a promise of stability it uses the
session managers, the configuration and the storage of virtual files; the integration tests walk all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import marimo
from marimo._config.manager import get_default_config_manager
from marimo._config.settings import GLOBAL_SETTINGS
from marimo._server.session_manager import SessionManager
from marimo._types.ids import SessionId
from marimo._utils.paths import marimo_package_path
from starlette.routing import Mount

from pipeline.core.errors import SettingsError
from workbench.serving.catalog import Notebook
from workbench.serving.files import OwnedFiles
from workbench.serving.rules import PREFIX

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STATIC = Path(str(marimo_package_path())) / "_static"
STATIC_URL = f"/marimo/{marimo.__version__}"
"""Where all notebooks find marimo's own scripts: at one address, so that a browser loads them once."""

MUST_BE_OFF = (
    ("runtime", "serve_cached_sessions_in_apps", "it shows one saved session to everybody"),
    ("runtime", "cache_cells", "its key can be the source alone"),
    ("runtime", "show_tracebacks", "tracebacks show code and values"),
    ("experimental", "isolate_apps", "files would lie where their owner is not known"),
    ("experimental", "rtc_v2", "it joins the sessions of several people"),
    ("experimental", "cache_cells", "its key can be the source alone"),
)
SAVED_SESSIONS = "__marimo__"


class Kernels:
    """The notebooks' sessions, and the application that serves them all below `/notebooks/`."""

    def __init__(self, notebooks: Sequence[Notebook], *, keep_seconds: int) -> None:
        require_safe(get_default_config_manager(current_path=None).get_config(), notebooks)
        self.files = OwnedFiles()
        self.files.install()
        builder = marimo.create_asgi_app(
            quiet=True,
            include_code=False,
            session_ttl=keep_seconds,
            asset_url=STATIC_URL,
            show_tracebacks=False,
            redirect_console_to_browser=False,
        )
        for notebook in notebooks:
            builder = builder.with_app(path=PREFIX + notebook.name, root=str(notebook.path))
        self.app: ASGIApp = builder.build()
        self._managers = _managers(self.app)

    def alive(self, notebook: str, session: str) -> bool:
        """Whether the session runs, with a browser or waiting for one."""
        return self._managers[notebook].get_session(SessionId(session)) is not None

    def close(self, notebook: str, session: str) -> None:
        """End the session at once, if it runs."""
        self._managers[notebook].close_session(SessionId(session))

    def count(self) -> int:
        """How many sessions run."""
        return sum(len(manager.sessions) for manager in self._managers.values())

    async def shutdown(self) -> None:
        """End all sessions."""
        for manager in self._managers.values():
            await manager.shutdown()


def require_safe(config: Mapping[str, Any], notebooks: Sequence[Notebook]) -> None:
    """Raise SettingsError if marimo is set up on this machine in a way that would mix tenants."""
    for group, name, why in MUST_BE_OFF:
        if config.get(group, {}).get(name, False):
            raise SettingsError(
                f"marimo's setting {group}.{name} is on: {why}.",
                remedy="Take it out of marimo's configuration: `marimo config show` says where that is.",
            )
    if config.get("server", {}).get("transport", "websocket") != "websocket":
        raise SettingsError("marimo's setting server.transport is not websocket, the only one that is guarded.")
    if GLOBAL_SETTINGS.DISABLE_AUTH_ON_VIRTUAL_FILES or GLOBAL_SETTINGS.ENABLE_HOST:
        raise SettingsError("marimo's environment opens its files or its host API to everybody.")
    saved = next((folder for each in notebooks if (folder := each.path.parent / SAVED_SESSIONS).exists()), None)
    if saved is not None and any(saved.rglob("*.json")):
        raise SettingsError(f"{saved} holds saved sessions, which are somebody's.", remedy="Remove the folder.")


def _managers(app: Any) -> dict[str, SessionManager]:
    return {
        route.path.removeprefix(PREFIX): route.app.state.session_manager  # type: ignore[attr-defined]
        for route in app.routes
        if isinstance(route, Mount)
    }
