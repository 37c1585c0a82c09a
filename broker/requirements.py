"""What a local broker needs from the machine: Java to run, and Maven once, to fetch the jars.

It finds and tells; it installs nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from pipeline.core.errors import WorkbenchError

OLDEST_JAVA = 17
VERSION = re.compile(r'version "(?:1\.)?(\d+)')
"""Java 8 called itself 1.8."""
ANSWER_SECONDS = 60

INSTALL_JAVA = "On Debian and Ubuntu: apt-get install openjdk-17-jre-headless, or a newer one."
INSTALL_MAVEN = "On Debian and Ubuntu: apt-get install maven."


class PartMissing(WorkbenchError):
    """Something that a local broker needs is not on this machine."""


def find_java() -> Path:
    """The java command, of JAVA_HOME before that of PATH. Raises PartMissing where none is new enough."""
    found = _command("java", home="JAVA_HOME")
    if found is None:
        raise PartMissing(f"Java {OLDEST_JAVA} or newer is missing.", remedy=INSTALL_JAVA)
    version = _java_version(found)
    if version < OLDEST_JAVA:
        told = f"Java {version}" if version else "no Java that tells its version"
        raise PartMissing(f"Java {OLDEST_JAVA} or newer is needed, and {found} is {told}.", remedy=INSTALL_JAVA)
    return found


def find_maven() -> Path:
    """The mvn command. Raises PartMissing where there is none."""
    found = _command("mvn", home="MAVEN_HOME")
    if found is None:
        raise PartMissing("Maven is missing, which fetches the jars of Kafka once.", remedy=INSTALL_MAVEN)
    return found


def _command(name: str, *, home: str) -> Path | None:
    folder = os.environ.get(home)
    found = (folder and shutil.which(name, path=Path(folder) / "bin")) or shutil.which(name)
    return Path(found) if found else None


def _java_version(java: Path) -> int:
    """The feature release, or 0 where the command does not tell."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = VERSION.search(told.stderr + told.stdout)
    return int(version[1]) if version else 0
