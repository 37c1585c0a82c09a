"""How commands end: exit codes, and what stands on standard error."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner, Result

from pipeline.core.errors import WorkbenchError
from workbench.cli import status
from workbench.cli.app import app


def run(*words: str, **environment: str) -> Result:
    """Run the command line with these environment variables beside the process's own."""
    return CliRunner(env={"DATABASE_URL": None, **environment}).invoke(app, words)


def test_a_known_error_is_a_message_and_a_remedy_without_a_traceback() -> None:
    ended = run("status", WORKBENCH_PROMOTE_EVRY_SECONDS="60")
    assert ended.exit_code == 1
    assert ended.stdout == ""
    assert "Error: Unknown setting WORKBENCH_PROMOTE_EVRY_SECONDS." in ended.stderr
    assert "Remedy: docs/settings.md lists every setting." in ended.stderr
    assert "Traceback" not in ended.output


def test_a_server_without_a_secret_is_refused_before_anything_is_done() -> None:
    ended = run("tenants", "list", DATABASE_URL="postgresql://db.example/workbench", WORKBENCH_SECRET="")
    assert ended.exit_code == 1
    assert "WORKBENCH_SECRET" in ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["promot"],
        ["promote", "--tenannt", "acme"],
        ["sql", "select 1"],
        ["sql", "--tenant", "acme", "select 1", "--json", "--csv"],
        ["db", "url", "--tenant", "acme", "--role", "api"],
        ["db", "url", "--role", "owner"],
        ["keys", "create", "acme", "--scope", "admin"],
    ],
)
def test_wrong_usage_ends_with_2(words: list[str]) -> None:
    ended = run(*words)
    assert ended.exit_code == 2, ended.output
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("raised", "code"),
    [(KeyboardInterrupt(), 130), (BrokenPipeError(32, "Broken pipe"), 1), (WorkbenchError("No."), 1)],
)
def test_an_interruption_or_a_closed_pipe_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def stop(_: object) -> None:
        raise raised

    monkeypatch.setattr(status, "open_database", stop)
    ended = run("status")
    assert ended.exit_code == code
    assert "Traceback" not in ended.output


def test_an_unknown_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(status, "open_database", stop)
    assert isinstance(run("status").exception, ZeroDivisionError)


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("workbench 0.")
