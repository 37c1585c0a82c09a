"""Carries the steps of the Dockerfile out in an empty folder, as far as they need no root file system of their own.

Absolute paths become folders in that folder, and the image's Python a new environment of this one. What is copied is
what .dockerignore lets through.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.dockerfile import ROOT, in_context, lineage, read_stages, variables

FLAGS = re.compile(r"^(--\w+=\S+\s+)+")
INHERITED = re.compile(r"(HOME|LANG|SSL_.*|PIP_.*|UV_.*|.*_PROXY|.*_proxy)")
"""How this machine reaches its package index, and where it keeps what it has fetched."""
STEP_SECONDS = 600


class Building:
    """A root folder in which stages are built, one after the other."""

    def __init__(self, root: Path, **settings: str) -> None:
        """`settings` are variables that win over those of the Dockerfile."""
        self.root = root
        self._settings = settings
        self._stages = read_stages()
        subprocess.run([sys.executable, "-m", "venv", str(root / "python")], check=True, timeout=STEP_SECONDS)

    def build(self, name: str) -> None:
        """Carry a stage out, after those that it begins from."""
        folder = self.root
        for stage in lineage(self._stages, name):
            for kind, value in stage.steps:
                if kind == "WORKDIR":
                    folder = Path(self._here(value))
                    folder.mkdir(parents=True, exist_ok=True)
                elif kind == "COPY":
                    self._copy(value, folder)
                elif kind == "RUN":
                    self.run("sh", "-ec", self._here(FLAGS.sub("", value)), folder=folder, stage=name)

    def run(self, *command: str, folder: Path, stage: str) -> str:
        """Run a command as in a stage, or in an image; what it said on standard output."""
        said = {
            key: self._here(value).replace("$PATH", os.defpath) for key, value in variables(self._stages, stage).items()
        }
        path = f"{self.root / 'python' / 'bin'}{os.pathsep}{said.get('PATH', os.defpath)}"
        inherited = {key: value for key, value in os.environ.items() if INHERITED.fullmatch(key)}
        environment = {**inherited, **said, **self._settings, "PATH": path}
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=STEP_SECONDS
        )
        assert ended.returncode == 0, f"{command} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def _copy(self, value: str, folder: Path) -> None:
        *sources, target = value.split()
        for source in sources:
            for file in [each for each in (ROOT / source, *(ROOT / source).rglob("*")) if each.is_file()]:
                name = file.relative_to(ROOT)
                if in_context(str(name)):
                    inside = file.relative_to(ROOT / source) if file != ROOT / source else Path(file.name)
                    place = folder / target / inside
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, place)

    def _here(self, text: str) -> str:
        return re.sub(r"(?<![\w./-])(?=/(app|build|opt/airflow|var/lib/workbench)\b)", str(self.root), text)
