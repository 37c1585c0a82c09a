"""The command line as tests call it: in this process, with an environment of its own."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from workbench.cli.app import app


class CommandLine:
    """`workbench` with an environment of its own."""

    def __init__(self, environment: dict[str, str | None]) -> None:
        self._runner = CliRunner(env=environment)

    def run(self, *words: str, exits: int = 0, given: str | None = None) -> Result:
        """Run it, and fail the test unless it ends with this exit code."""
        ended = self._runner.invoke(app, words, input=given)
        assert ended.exit_code == exits, f"{words} ended with {ended.exit_code}:\n{ended.output}{ended.exception!r}"
        return ended

    def json(self, *words: str, exits: int = 0) -> Any:
        """Run it with --json; the document."""
        return json.loads(self.run(*words, "--json", exits=exits).stdout)
