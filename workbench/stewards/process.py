"""Carries a decision out in a process of its own: `python -m workbench.stewards`, which runs `workbench holds ...`."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import IO, Any

import msgspec

from workbench.stewards.deciding import Tell
from workbench.stewards.decision import Outcome, Request, outcome

# Nothing is imported from the folder that the server happens to run in.
PROGRAM = (sys.executable, "-P", "-m", "workbench.stewards")
DONE, FAILED, HELD, TRY_AGAIN = 0, 1, 3, 75
ERROR, REMEDY = "Error: ", "Remedy: "

log = logging.getLogger(__name__)


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """What the process reads from its standard input: nothing of it stands in the list of processes."""

    actor: str
    request: Request


class Process:
    """Starts one process a decision, in the environment that the server was started in."""

    def __init__(self, environment: Mapping[str, str], *, program: tuple[str, ...] = PROGRAM) -> None:
        self._environment = dict(environment)
        self._program = program

    def __call__(self, request: Request, actor: str, tell: Tell) -> Outcome:
        """Carry it out, and tell what the process tells of its progress."""
        asked = msgspec.json.encode(Acting(actor=actor, request=request))
        with (
            TemporaryFile() as answer,
            subprocess.Popen(
                self._program,
                stdin=subprocess.PIPE,
                stdout=answer,
                stderr=subprocess.PIPE,
                env=self._environment,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stderr is not None
            process.stdin.write(asked)
            process.stdin.close()
            said = _listen(process.stderr, tell)
            code = process.wait()
            answer.seek(0)
            return read_answer(request, code, answer.read(), said)


def read_answer(request: Request, code: int, answer: bytes, said: list[str]) -> Outcome:
    """How it ended, out of exit code, standard output and the lines of standard error."""
    if code in (DONE, HELD):
        document: dict[str, Any] = msgspec.json.decode(answer)
        return outcome(request, document)
    message, remedy = _error(said)
    if code in (FAILED, TRY_AGAIN) and message:
        return Outcome(request=request, ended="refused", told=message, remedy=remedy)
    about = {"tenant_id": request.tenant_id}
    log.error("deciding about %s ended with %s:\n%s", request.tenant_id, code, "\n".join(said), extra=about)
    return Outcome(
        request=request,
        ended="broken",
        told="The decision broke off. Whether it took effect, the list of holds tells.",
        remedy="Look again; what went wrong is in the log of the notebook server.",
    )


def _listen(stream: IO[bytes], tell: Tell) -> list[str]:
    """All lines of standard error; those before an error are told as they come."""
    said: list[str] = []
    for raw in stream:
        line = raw.decode("utf-8", "replace").rstrip()
        said.append(line)
        if line and not any(each.startswith(ERROR) for each in said):
            tell(line)
    return said


def _error(said: list[str]) -> tuple[str, str | None]:
    """The message and the remedy, as the command line prints them."""
    message = next((line.removeprefix(ERROR) for line in said if line.startswith(ERROR)), "")
    return message, next((line.removeprefix(REMEDY) for line in said if line.startswith(REMEDY)), None)
