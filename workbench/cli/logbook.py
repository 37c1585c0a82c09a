"""Where the lines of the stack's processes go: a file each, and the terminal while that is wanted."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from workbench.cli.output import errors, visible

if TYPE_CHECKING:
    from pipeline.core.logs import LogFormat

FILE_BYTES = 10_000_000
OLD_FILES = 3
STYLES = {"api": "cyan", "consume": "green", "schedule": "magenta", "database": "yellow"}


LOGGER = "workbench.up"


class Logbook:
    """Call it with a process's name and a line; `aloud` decides whether the terminal shows it too.

    Where lines are JSON, one that is not becomes the message of one that is.
    """

    def __init__(self, folder: Path, *, aloud: bool, line_format: LogFormat = "text") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.aloud = aloud
        self._line_format = line_format
        self._files: dict[str, RotatingFileHandler] = {}

    def __call__(self, name: str, line: str) -> None:
        shown = visible(line)
        file, record = self._file(name), _record(shown)
        file.handle(record)
        if self.aloud:
            try:
                errors.print(self._on_terminal(name, shown, file.format(record)), soft_wrap=True)
            except OSError:
                # The terminal is gone. Whoever reads a process's lines must not stop, or it would block.
                self.aloud = False

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _on_terminal(self, name: str, shown: str, filed: str) -> Text:
        if self._line_format == "json":
            return Text(filed)
        return Text.assemble((f"{name:<9}", STYLES.get(name, "")), shown)

    def _file(self, name: str) -> RotatingFileHandler:
        if name not in self._files:
            path = self.folder / f"{name}.log"
            file = RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=OLD_FILES)
            file.setFormatter(self._formatter(name))
            self._files[name] = file
        return self._files[name]

    def _formatter(self, name: str) -> logging.Formatter:
        if self._line_format == "json":
            from pipeline.core.logs import PassedOn

            return PassedOn(name)
        return logging.Formatter("%(asctime)s %(message)s")


def _record(line: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": line, "name": LOGGER, "levelname": logging.getLevelName(logging.INFO)})
