"""`workbench notebook`: marimo's editor on this machine, for one tenant's data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.context import open_database, read_settings
from workbench.cli.output import note, say
from workbench.cli.signals import interrupt_on_signals, shielded

OURS = ("WORKBENCH_", "KAFKA_", "PG")
"""Beginnings of variables that an analyst's process has no business with: settings of ours, addresses, secrets."""
ADDRESSES = ("DATABASE_URL", "DATABASE_URL_FILE")
END_SECONDS = 10.0


def register(app: typer.Typer) -> None:
    """Add the `notebook` command."""
    app.command("notebook")(run)


def run(
    tenant: Annotated[str, typer.Option(metavar="TENANT", help="Whose data the notebook reads.")],
    file: Annotated[
        Path | None, typer.Argument(help="The notebook, made if it is not there; TENANT.py by default.", dir_okay=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The editor's port; a free one by default.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the editor's address.")] = False,
) -> None:
    """Open a notebook on your own machine, with one tenant's data at hand.

    It starts marimo's editor on 127.0.0.1, behind a token, as a process that
    knows the tenant's own login and nothing else of this deployment. In the
    notebook, Workbench.connect() answers what that login may read. A notebook
    that is not there yet begins with an example. Ctrl-C ends the editor.

    Examples:
      workbench notebook --tenant acme
      workbench notebook --tenant acme churn.py
      workbench notebook --tenant acme churn.py --no-browser --port 2718

    Next: docs/analysts-python.md shows what to ask, and how other editors and
    plain Python do the same.
    """
    chosen = Path(f"{tenant}.py") if file is None else file
    if chosen.suffix != ".py":
        raise typer.BadParameter(
            f"{chosen} is no Python file; for other editors set TENANT_DATABASE_URL to what "
            f"`workbench db url --tenant {tenant}` prints",
            param_hint="FILE",
        )
    from pipeline.core.tenants import tenant_url

    settings = read_settings()
    interrupt_on_signals()
    with open_database(settings) as database:
        address = tenant_url(database, tenant)
        _ensure_notebook(chosen)
        environment = environment_of(tenant, address, os.environ)
        say(f"The editor opens {chosen} for tenant {tenant}. Ctrl-C ends it.")
        code = _edit(chosen, environment, port=port, no_browser=no_browser)
    if code:
        raise typer.Exit(code)


def environment_of(tenant_id: str, address: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of an analyst's process: this one's, with one tenant's address instead of our settings."""
    from workbench.session.opening import TENANT_ID, TENANT_URL

    kept = {
        name: value for name, value in environment.items() if not name.startswith(OURS) and not name.endswith(ADDRESSES)
    }
    return {**kept, TENANT_URL: address, TENANT_ID: tenant_id}


def _ensure_notebook(file: Path) -> None:
    from workbench.session import opening

    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(opening.STARTER, file)
    note(f"{file} is new, and begins with an example.")


def _edit(file: Path, environment: Mapping[str, str], *, port: int | None, no_browser: bool) -> int:
    """Run the editor until it ends, or this process is told to; its exit code, 0 for an end that was asked for."""
    # It asks on Ctrl-C whether to quit; the notebook is saved as it is edited.
    command = [sys.executable, "-u", "-m", "marimo", "--yes", "edit", str(file), "--host", "127.0.0.1", "--token"]
    command += ["--skip-update-check", "--no-sandbox"]
    command += [] if port is None else ["--port", str(port)]
    command += ["--headless"] if no_browser else []
    with subprocess.Popen(command, env=dict(environment)) as editor:
        try:
            return editor.wait()
        except KeyboardInterrupt:
            with shielded():
                _end(editor)
            return 0


def _end(editor: subprocess.Popen[bytes]) -> None:
    editor.terminate()
    try:
        editor.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        editor.kill()
        editor.wait()
