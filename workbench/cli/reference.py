"""Writes the reference part of docs/cli.md out of the commands themselves: python -m workbench.cli.reference.

What stands above the marker is written by people and kept. A test compares the file with the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument

DOCUMENT = Path("docs/cli.md")
MARKER = "<!-- Below this line: written by `python -m workbench.cli.reference`, not by hand. -->\n"


def walk(command: Any, path: str = "workbench") -> Iterator[tuple[str, Any]]:
    """Every command with the words that call it, in the order of the help."""
    yield path, command
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    for name in names:
        yield from walk(command.commands[name], f"{path} {name}")


def reference(app: typer.Typer) -> str:
    """The reference of all commands, as Markdown."""
    return "\n".join(_section(path, command) for path, command in walk(typer.main.get_command(app)))


def renewed(document: str, app: typer.Typer) -> str:
    """The document with its reference part written anew."""
    return document.partition(MARKER)[0] + MARKER + "\n" + reference(app)


def _section(path: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not parameter.hidden]
    arguments = [parameter for parameter in shown if isinstance(parameter, TyperArgument)]
    options = [parameter for parameter in shown if not isinstance(parameter, TyperArgument)]
    after = [_placeholder(argument) for argument in arguments] + ["COMMAND ..."] * hasattr(command, "commands")
    usage = " ".join([path, *["[OPTIONS]"] * bool(options), *after])
    rows = [f"| `{_spelling(parameter)}` | {_meaning(parameter)} |" for parameter in [*arguments, *options]]
    table = "\n".join(["| | |", "|---|---|", *rows, ""]) if rows else ""
    heading = "#" * (1 + len(path.split()))
    return f"{heading} {path}\n\n`{usage}`\n\n{_prose(command.help or '')}\n{table}"


def _prose(text: str) -> str:
    """Help as Markdown: indented lines are examples."""
    parts = []
    for paragraph in text.strip().split("\n\n"):
        for indented, lines in groupby(paragraph.split("\n"), key=lambda line: line.startswith("  ")):
            body = "\n".join(line.removeprefix("  ") for line in lines)
            parts.append(f"```sh\n{body}\n```\n" if indented else f"{body}\n")
    return "\n".join(parts)


def _spelling(parameter: Any) -> str:
    if isinstance(parameter, TyperArgument):
        return _placeholder(parameter)
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {_placeholder(parameter)}"


def _placeholder(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _meaning(parameter: Any) -> str:
    told = parameter.help or ""
    if parameter.required:
        return f"{told} Required."
    default = parameter.default
    return told if default in (None, False, "") or parameter.is_flag else f"{told} Default: {default}."


if __name__ == "__main__":
    from workbench.cli.app import app

    DOCUMENT.write_text(renewed(DOCUMENT.read_text(), app))
    sys.exit()
