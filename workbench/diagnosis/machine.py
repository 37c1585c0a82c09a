"""Checks of this machine: Python, packages, the dbt project, the home folder."""

from __future__ import annotations

import platform
import shutil
import stat
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pipeline.core.embedded import SOCKET_NAME
from pipeline.promote.marts import read_cached_views, read_marts
from workbench.diagnosis import Check, fail, ok, warn

OLDEST_PYTHON, PYTHON_TOO_NEW = (3, 11), (3, 14)
PACKAGES = ("dbt-core", "dbt-postgres", "great-expectations", "fastapi")
GIB = 1 << 30
SCARCE, TOO_LITTLE = 5 * GIB, 1 * GIB
"""Free disk space: below the first to be watched, below the second the database is at risk."""


def python(running: tuple[int, ...] = sys.version_info[:2]) -> Check:
    """A version of Python that all libraries support."""
    if OLDEST_PYTHON <= running < PYTHON_TOO_NEW:
        return ok("python", platform.python_version())
    return fail("python", f"{'.'.join(map(str, running))} is not supported", "Use Python 3.11, 3.12 or 3.13.")


def packages(names: tuple[str, ...] = PACKAGES) -> Check:
    """The libraries that are imported late, so that their absence would show late; none is imported."""
    try:
        return ok("packages", ", ".join(f"{name} {version(name)}" for name in names))
    except PackageNotFoundError as error:
        return fail("packages", f"{error.name} is not installed", "Install requirements.lock: make setup.")


def dbt_project(folder: Path) -> Check:
    """The models' descriptions can be read, as deployment and promotion read them."""
    if not (folder / "dbt_project.yml").is_file():
        return fail("dbt project", f"{folder} has no dbt_project.yml", "Run from a complete checkout.")
    return ok("dbt project", f"{len(read_marts(folder))} marts, {len(read_cached_views(folder))} cached views")


def disk(folder: Path) -> Check:
    """Enough room where the embedded database lives."""
    existing = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.exists())
    return judge_disk(shutil.disk_usage(existing).free, existing)


def judge_disk(free: int, folder: Path) -> Check:
    """What so many free bytes mean."""
    told = f"{free / GIB:.1f} GiB free at {folder}"
    remedy = "Free space, or set WORKBENCH_HOME to a folder on another disk."
    if free < TOO_LITTLE:
        return fail("disk", told, remedy)
    return warn("disk", told, remedy) if free < SCARCE else ok("disk", told)


def socket(admin_url: str) -> Check:
    """The embedded server asks for no password: its socket must be its owner's alone."""
    path = Path(str(conninfo_to_dict(admin_url)["host"])) / SOCKET_NAME
    folder, mode = (stat.S_IMODE(found.stat().st_mode) for found in (path.parent, path))
    # To connect takes the right to search the folder and to write to the socket.
    others = (("its group", stat.S_IXGRP, stat.S_IWGRP), ("every user", stat.S_IXOTH, stat.S_IWOTH))
    if callers := [who for who, search, write in others if folder & search and mode & write]:
        return fail(
            "socket",
            f"{' and '.join(callers)} of this machine can connect to {path}, without a password",
            f"chmod 700 {path.parent}",
        )
    return ok("socket", f"only its owner can connect to {path}")
