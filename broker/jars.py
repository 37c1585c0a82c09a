"""The jars of Kafka: fetched by Maven once for each content of `pom.xml`, and kept in `.kafka`.

Several processes may ask at the same time: one fetches, the others wait for it. A folder of jars
has its name only once it is complete, so that a fetch that was interrupted leaves no half of one.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from broker.requirements import PartMissing, find_java, find_maven

POM = Path(__file__).with_name("pom.xml")
FOLDER = Path(__file__).parent.parent / ".kafka"
FETCH_SECONDS = 240
TOLD_LINES = 5

GOAL = "dependency:copy-dependencies"


def kafka_version() -> str:
    """The version of Kafka that `pom.xml` names."""
    return ElementTree.parse(POM).findtext(".//{*}kafka.version", default="")


def ensure_jars() -> Path:
    """The folder of the jars, fetched if need be. Raises PartMissing where that is not possible."""
    jars = _folder()
    if jars.is_dir():
        return jars
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _fetch(jars)
    return jars


def require_parts() -> None:
    """Raise PartMissing where a broker cannot even be tried; it fetches nothing."""
    find_java()
    if not _folder().is_dir():
        find_maven()


def _folder() -> Path:
    return FOLDER / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def _fetch(jars: Path) -> None:
    partial = jars.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    fetch = [str(find_maven()), "-q", "-B", "-f", str(POM), GOAL, f"-DoutputDirectory={partial}"]
    try:
        subprocess.run(fetch, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise _not_fetched(f"Maven took longer than {FETCH_SECONDS} s.") from error
    except subprocess.CalledProcessError as error:
        told = [line for line in error.stdout.splitlines() if line.startswith("[ERROR]")]
        raise _not_fetched("\n".join(told[:TOLD_LINES])) from error
    partial.rename(jars)


def _not_fetched(told: str) -> PartMissing:
    return PartMissing(
        f"The jars of Kafka {kafka_version()} cannot be fetched:\n{told}\n",
        remedy="Maven needs Maven Central or a mirror of it, as its settings.xml names one.",
    )
