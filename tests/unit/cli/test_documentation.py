"""Help and documents name only commands that exist, and every command that exists."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from workbench.cli.app import app
from workbench.cli.reference import DOCUMENT, renewed, walk

ROOT = Path(__file__).parents[3]
COMMAND = typer.main.get_command(app)
COMMANDS = dict(walk(COMMAND))
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]
HEAVY = ("dbt", "great_expectations", "fastapi", "sqlalchemy", "sqlmodel", "alembic", "psycopg", "pandas")


# Alone, after settings, or at the end of a pipe.
CALL = re.compile(r"\s*(?:\w+=\S+ |[^|]+\| )*(workbench .+)")


def documents() -> list[Path]:
    """What people read in this repository."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def calls(text: str) -> list[str]:
    """The `workbench ...` calls in a document's code blocks; beside a prompt, the rest of a block is output."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text.replace("\\\n", " "), re.DOTALL | re.MULTILINE)
    prompted = [re.findall(r"^\$ (.*)$", block, re.MULTILINE) or block.splitlines() for block in blocks]
    return [match[1] for line in itertools.chain(*prompted) if (match := CALL.fullmatch(line))]


def examples(help_text: str) -> list[str]:
    """The `workbench ...` calls in the indented lines of a command's help."""
    lines = [line for line in help_text.splitlines() if line.startswith("  ")]
    return [match[1] for line in lines if (match := CALL.fullmatch(line))]


def mentions(text: str) -> list[str]:
    """The `workbench ...` between backquotes in a document's prose, which need not be whole calls."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [span for span in re.findall(r"`(workbench [^`]+)`", prose) if "COMMAND" not in span]


def parse(line: str, *, whole: bool = True) -> None:
    """Parse a line as the shell and the command would, without running it; raises if it is wrong."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(itertools.takewhile(lambda word: word not in ("|", "<", ">", "&&", "&", ";"), lexer))[1:]
    command: Any = COMMAND
    path = "workbench"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{path} has no command {words[0]}"
        path, command = f"{path} {words[0]}", command.commands[words[0]]
        words = words[1:]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    assert all(word in known for word in words if word.startswith("--")), f"{path} has not all of {words}"
    if whole and not hasattr(command, "commands") and "--help" not in words:
        command.make_context(path, words)


@pytest.mark.parametrize("path", LEAVES)
def test_help_of_each_command_teaches_by_an_example_and_fits_a_terminal(path: str) -> None:
    text = COMMANDS[path].help or ""
    assert any(call.startswith(path) for call in examples(text)), "an example"
    assert all(len(line) <= 78 for line in text.splitlines() if not line.startswith("  "))


def test_each_example_in_the_help_is_a_valid_call() -> None:
    for command in COMMANDS.values():
        for line in examples(command.help or ""):
            parse(line)


def test_the_reference_in_the_documents_is_that_of_the_commands() -> None:
    document = (ROOT / DOCUMENT).read_text()
    assert document == renewed(document, app), "run: python -m workbench.cli.reference"
    for path, command in COMMANDS.items():
        assert f" {path}\n" in document
        for parameter in (parameter for parameter in command.params if not parameter.hidden):
            assert all(f"`{name}" in document or f", {name}" in document for name in parameter.opts if name[0] == "-")


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_command_line_in_the_documents_is_a_valid_call(path: Path) -> None:
    text = path.read_text()
    for line in calls(text):
        parse(line)
    for line in mentions(text):
        parse(line, whole=False)


@pytest.mark.parametrize("wrong", ["workbench promot", "workbench db url --tenannt acme", "workbench keys create"])
def test_a_documented_command_that_does_not_exist_is_found(wrong: str) -> None:
    assert calls(f"Some text\n```sh\n$ {wrong}\n```\n") == [wrong]
    with pytest.raises(Exception, match=r"has no command|has not all|Missing parameter"):
        parse(wrong)


def test_help_waits_for_no_heavy_library() -> None:
    code = f"import sys, workbench.cli.app; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
