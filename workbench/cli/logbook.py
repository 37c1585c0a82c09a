"""Where the lines of the stack's processes go: a file each, and the terminal while that is wanted."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.text import Text

from workbench.cli.output import errors, visible

FILE_BYTES = 10_000_000
OLD_FILES = 3
STYLES = {"api": "cyan", "consume": "green", "schedule": "magenta", "database": "yellow"}


class Logbook:
    """Call it with a process's name and a line; `aloud` decides whether the terminal shows it too."""

    def __init__(self, folder: Path, *, aloud: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.aloud = aloud
        self._files: dict[str, RotatingFileHandler] = {}

    def __call__(self, name: str, line: str) -> None:
        shown = visible(line)
        self._file(name).handle(logging.makeLogRecord({"msg": shown}))
        if self.aloud:
            try:
                errors.print(Text.assemble((f"{name:<9}", STYLES.get(name, "")), shown), soft_wrap=True)
            except OSError:
                # The terminal is gone. Whoever reads a process's lines must not stop, or it would block.
                self.aloud = False

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _file(self, name: str) -> RotatingFileHandler:
        if name not in self._files:
            path = self.folder / f"{name}.log"
            file = RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES)
            file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
            self._files[name] = file
        return self._files[name]
