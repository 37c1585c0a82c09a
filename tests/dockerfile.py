"""The Dockerfile as tests read it: its stages, and what the last word of each stage is on how a container runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: what it begins from, and its instructions in their order."""

    name: str
    base: str
    steps: list[tuple[str, str]]

    def last(self, instruction: str) -> str | None:
        """The value of the last instruction of this kind."""
        return next((value for kind, value in reversed(self.steps) if kind == instruction), None)


def read_stages() -> dict[str, Stage]:
    """The stages by name, in their order."""
    stages: dict[str, Stage] = {}
    for step in DockerfileParser(str(ROOT / "Dockerfile")).structure:
        kind, value = step["instruction"], step["value"]
        if kind == "FROM":
            base, _, name = value.split()
            stages[name] = Stage(name=name, base=base, steps=[])
        elif kind != "COMMENT":
            list(stages.values())[-1].steps.append((kind, value))
    return stages


def lineage(stages: Mapping[str, Stage], name: str) -> list[Stage]:
    """The stage with those that it begins from, itself last."""
    stage = stages[name]
    return [*(lineage(stages, stage.base) if stage.base in stages else []), stage]


def setting(stages: Mapping[str, Stage], name: str, instruction: str) -> str | None:
    """What an image's instruction says last, its own or one that it begins from."""
    return next((value for stage in reversed(lineage(stages, name)) if (value := stage.last(instruction))), None)


def words(stages: Mapping[str, Stage], name: str, instruction: str) -> list[str]:
    """The words of an image's ENTRYPOINT or CMD."""
    found = setting(stages, name, instruction)
    return [str(word) for word in json.loads(found)] if found else []


def variables(stages: Mapping[str, Stage], name: str) -> dict[str, str]:
    """The environment that an image gives its containers, references in it as they are written."""
    pairs = [value for stage in lineage(stages, name) for kind, value in stage.steps if kind == "ENV"]
    return {key: value for text in pairs for key, _, value in (pair.partition("=") for pair in shlex.split(text))}


def in_context(path: str) -> bool:
    """Whether .dockerignore lets a file through: the last line that fits it, or a folder of it, decides."""
    let_in = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern and not pattern.startswith("#") and _fits(pattern, path):
            let_in = line.startswith("!")
    return let_in


def _fits(pattern: str, path: str) -> bool:
    translated = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(rf"{translated}(?:/.*)?", path) is not None
