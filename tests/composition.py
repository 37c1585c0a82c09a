"""compose.yaml as Docker Compose itself reads it; no engine is needed for that."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOOLS = Path(sys.executable).parent
PROFILES = ("", "standby", "zookeeper")
OURS = ("analytics-workbench:local", "analytics-workbench-airflow:local")
"""The images that the Dockerfile makes."""


def compose(*words: str, settings: Mapping[str, str], files: tuple[str, ...] = ("compose.yaml",)) -> Any:
    """What `docker compose` answers with these settings as its .env file, and nothing else in the environment."""
    with tempfile.TemporaryDirectory(prefix="workbench-compose-") as folder:
        env = Path(folder) / "env"
        env.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        named = [word for file in files for word in ("--file", file)]
        command = [str(TOOLS / "docker-compose"), "--env-file", str(env), "--project-directory", str(ROOT), *named]
        return subprocess.run(
            [*command, *words], cwd=ROOT, env={"HOME": folder}, capture_output=True, text=True, check=False, timeout=60
        )


def new_settings() -> dict[str, str]:
    """The settings that `make up` writes for a new installation."""
    with tempfile.TemporaryDirectory(prefix="workbench-compose-") as folder:
        env = Path(folder) / "env"
        subprocess.run(["sh", str(ROOT / "docker" / "new-env.sh"), str(env)], check=True, timeout=30)
        lines = [line for line in env.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@functools.cache
def a_new_installation() -> dict[str, str]:
    """The same settings for every test of this process."""
    return new_settings()


@functools.cache
def services(profile: str = "", **settings: str) -> dict[str, Any]:
    """The services that run with this profile, with every value in its place."""
    given = a_new_installation() | {"COMPOSE_PROFILES": profile} | settings
    ended = compose("config", "--format", "json", settings=given)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr, ended.stderr
    # What it prints is a compose file again, in which a dollar is spelt twice.
    return dict(json.loads(ended.stdout.replace("$$", "$"))["services"])


def runs_once(service: Mapping[str, Any]) -> bool:
    """Whether a service is done when it has succeeded."""
    return str(service["restart"]).startswith("on-failure")
